package com.example.googlenet

import android.content.Context
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException

/** A classifier that runs on LiteRT: on the GPU if that takes the whole network. */
class LiteRtClassifier(context: Context) : Classifier {
    override val model = ModelFile(context.assets.open(MODEL).use { it.readBytes() })
    override val processor: String
    private val compiled: CompiledModel

    init {
        fun compile(accelerator: Accelerator) =
            CompiledModel.create(context.assets, MODEL, CompiledModel.Options(accelerator))
        var found = "GPU"
        compiled = try {
            // with the CPU allowed beside it, what the GPU cannot do, or all of it if
            // litert-gpu is missing, would silently run there
            compile(Accelerator.GPU)
        } catch (reason: LiteRtException) {
            found = "CPU, not the GPU: ${reason.message}"
            compile(Accelerator.CPU)
        }
        processor = found
    }

    private val inputs = compiled.createInputBuffers()
    private val outputs = compiled.createOutputBuffers()

    override fun probabilities(photo: Photo): FloatArray {
        val pixels = model.preprocessing.input(photo)
        return if (TAKES_BYTES) runBytes(pixels) else runFloats(pixels)
    }

    private fun runBytes(pixels: FloatArray): FloatArray {
        inputs[0].writeInt8(ByteArray(pixels.size) { byte(pixels[it].toDouble()) })
        compiled.run(inputs, outputs)
        val bytes = outputs[0].readInt8()
        return FloatArray(bytes.size) { (bytes[it].toInt() and 0xff) / 256f }
    }

    private fun byte(pixel: Double) = Math.rint(pixel).toInt().toByte()

    private fun runFloats(pixels: FloatArray): FloatArray {
        inputs[0].writeFloat(pixels)
        compiled.run(inputs, outputs)
        return outputs[0].readFloat()
    }

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        compiled.close()
    }
}

/** The classifier of this flavor of the app. */
fun openClassifier(context: Context): Classifier = LiteRtClassifier(context)
