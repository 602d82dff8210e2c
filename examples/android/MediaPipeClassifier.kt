// Android, MediaPipe Tasks: implementation("com.google.mediapipe:tasks-vision:0.10.26")
// int8.tflite lies in src/main/assets; it needs the metadata of requirements-mobile.txt.
// CROP_FRACTION is that of classifier.json within int8.tflite.

import android.content.Context
import android.graphics.Bitmap
import android.graphics.RectF
import com.google.mediapipe.framework.image.BitmapImageBuilder
import com.google.mediapipe.tasks.vision.core.ImageProcessingOptions
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier
import kotlin.math.min

private const val CROP_FRACTION = 1f

class MediaPipeClassifier(context: Context) : AutoCloseable {
    private val classifier = ImageClassifier.createFromFile(context, "int8.tflite")

    /** The labels of an ARGB_8888 bitmap with their probabilities, likeliest first. */
    fun classify(bitmap: Bitmap): List<Pair<String, Float>> {
        // without it MediaPipe stretches the whole picture, which training never saw
        val center = ImageProcessingOptions.builder()
            .setRegionOfInterest(center(bitmap.width.toFloat(), bitmap.height.toFloat()))
            .build()
        val result = classifier.classify(BitmapImageBuilder(bitmap).build(), center)
        return result.classificationResult().classifications().first().categories()
            .map { it.categoryName() to it.score() }
    }

    private fun center(width: Float, height: Float): RectF {
        val side = CROP_FRACTION * min(width, height)
        val (x, y) = side / width / 2 to side / height / 2
        return RectF(0.5f - x, 0.5f - y, 0.5f + x, 0.5f + y)
    }

    override fun close() = classifier.close()
}
