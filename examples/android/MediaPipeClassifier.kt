// Android, MediaPipe Tasks: implementation("com.google.mediapipe:tasks-vision:0.10.26")
// int8.tflite lies in src/main/assets; it needs the metadata of requirements-mobile.txt.
// The whole picture is resized; a bitmap that is cropped first is closer to training.

import android.content.Context
import android.graphics.Bitmap
import com.google.mediapipe.framework.image.BitmapImageBuilder
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier

class MediaPipeClassifier(context: Context) : AutoCloseable {
    private val classifier = ImageClassifier.createFromFile(context, "int8.tflite")

    /** The labels of an ARGB_8888 bitmap with their probabilities, likeliest first. */
    fun classify(bitmap: Bitmap): List<Pair<String, Float>> {
        val result = classifier.classify(BitmapImageBuilder(bitmap).build())
        return result.classificationResult().classifications().first().categories()
            .map { it.categoryName() to it.score() }
    }

    override fun close() = classifier.close()
}
