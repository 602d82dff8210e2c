package com.google.mediapipe.tasks.vision.imageclassifier

import android.content.Context
import com.google.mediapipe.framework.image.MPImage
import com.google.mediapipe.tasks.core.BaseOptions
import com.google.mediapipe.tasks.vision.core.ImageProcessingOptions
import java.nio.ByteBuffer
import org.json.JSONObject
import stubs.Desk

/** MediaPipe's class of this name; MediaPipe itself runs at the desk, in Python. */
class ImageClassifier private constructor(private val threshold: Float?) : AutoCloseable {
    class ImageClassifierOptions private constructor(internal val threshold: Float?) {
        class Builder {
            private var threshold: Float? = null

            fun setBaseOptions(baseOptions: BaseOptions) = this

            fun setScoreThreshold(scoreThreshold: Float) = apply { threshold = scoreThreshold }

            fun build() = ImageClassifierOptions(threshold)
        }

        companion object {
            fun builder() = Builder()
        }
    }

    fun classify(image: MPImage, options: ImageProcessingOptions): ImageClassifierResult {
        val (width, height) = image.bitmap.width to image.bitmap.height
        val pixels = IntArray(width * height)
        image.bitmap.getPixels(pixels, 0, width, 0, 0, width, height)
        val content = ByteBuffer.allocate(4 * pixels.size)
        content.asIntBuffer().put(pixels)
        val region = options.region?.run { listOf(left, top, right, bottom) }.orEmpty()
        val question = listOf("mediapipe", width, height, threshold) + region
        val answer = JSONObject(String(Desk.ask(question.joinToString(" "), content.array())))
        val found = answer.getJSONArray("categories")
        return ImageClassifierResult(List(found.length()) {
            val category = found.getJSONObject(it)
            Category(category.getInt("index"), category.getDouble("score").toFloat())
        })
    }

    override fun close() {}

    companion object {
        fun createFromOptions(context: Context, options: ImageClassifierOptions) =
            ImageClassifier(options.threshold)
    }
}

class Category(private val index: Int, private val score: Float) {
    fun index() = index

    fun score() = score
}

class ImageClassifierResult(private val categories: List<Category>) {
    fun classificationResult() = this

    fun classifications() = listOf(this)

    fun categories() = categories
}
