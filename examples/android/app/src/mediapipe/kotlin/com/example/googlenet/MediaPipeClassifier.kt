package com.example.googlenet

import android.content.Context
import android.graphics.Bitmap
import android.graphics.RectF
import com.google.mediapipe.framework.image.BitmapImageBuilder
import com.google.mediapipe.tasks.core.BaseOptions
import com.google.mediapipe.tasks.vision.core.ImageProcessingOptions
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier.ImageClassifierOptions

/**
 * A classifier that runs on MediaPipe Tasks, which crops and resizes itself.
 *
 * The file needs the metadata of requirements-mobile.txt.
 */
class MediaPipeClassifier(context: Context) : Classifier {
    override val model = ModelFile(context.assets.open(MODEL).use { it.readBytes() })
    override val processor = "CPU"
    private val classifier = ImageClassifier.createFromOptions(
        context,
        ImageClassifierOptions.builder()
            .setBaseOptions(BaseOptions.builder().setModelAssetPath(MODEL).build())
            .setScoreThreshold(0f) // that of the file would leave labels out
            .build())

    override fun probabilities(photo: Photo): FloatArray {
        val bitmap = Bitmap.createBitmap(
            photo.pixels, photo.width, photo.height, Bitmap.Config.ARGB_8888)
        val result = classifier.classify(BitmapImageBuilder(bitmap).build(), regionOf(photo))
        val probabilities = FloatArray(model.labels.size)
        for (category in result.classificationResult().classifications().first().categories()) {
            probabilities[category.index()] = category.score()
        }
        return probabilities
    }

    /** What training saw of such a photograph: without it MediaPipe stretches the whole. */
    private fun regionOf(photo: Photo): ImageProcessingOptions {
        val options = ImageProcessingOptions.builder()
        if (!model.preprocessing.takesWholePhotos) {
            val (width, height) = photo.width.toFloat() to photo.height.toFloat()
            val seen = model.preprocessing.window(photo.width, photo.height)
            options.setRegionOfInterest(RectF(
                seen.left / width, seen.top / height,
                (seen.left + seen.width) / width, (seen.top + seen.height) / height))
        }
        return options.build()
    }

    override fun close() = classifier.close()
}

/** The classifier of this flavor of the app. */
fun openClassifier(context: Context): Classifier = MediaPipeClassifier(context)
