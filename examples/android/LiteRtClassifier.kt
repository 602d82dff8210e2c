// Android, LiteRT's interpreter: implementation("com.google.ai.edge.litert:litert:1.4.0")
// int8.tflite and labels.txt lie in src/main/assets; androidResources { noCompress += "tflite" }

import android.content.Context
import android.graphics.Bitmap
import java.io.FileInputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import org.tensorflow.lite.Interpreter

class LiteRtClassifier(context: Context, threads: Int = 2) : AutoCloseable {
    private val labels = context.assets.open("labels.txt").bufferedReader().readLines()
    private val interpreter = context.assets.openFd("int8.tflite").use { file ->
        val model = FileInputStream(file.fileDescriptor).channel.map(
            FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)
        Interpreter(model, Interpreter.Options().setNumThreads(threads))
    }
    private val height = interpreter.getInputTensor(0).shape()[1]
    private val width = interpreter.getInputTensor(0).shape()[2]

    /** The labels of a bitmap with their probabilities, likeliest first. */
    fun classify(bitmap: Bitmap): List<Pair<String, Float>> {
        val pixels = IntArray(height * width)
        Bitmap.createScaledBitmap(bitmap, width, height, true)
            .getPixels(pixels, 0, width, 0, 0, width, height)
        val image = ByteBuffer.allocateDirect(3 * pixels.size).order(ByteOrder.nativeOrder())
        for (pixel in pixels) { // ARGB to raw red, green, blue in 0..255
            image.put((pixel shr 16).toByte()).put((pixel shr 8).toByte()).put(pixel.toByte())
        }
        val scores = Array(1) { ByteArray(labels.size) }
        interpreter.run(image.rewind(), scores)
        return labels.zip(scores[0].map { (it.toInt() and 0xff) / 256f })
            .sortedByDescending { it.second }
    }

    override fun close() = interpreter.close()
}
