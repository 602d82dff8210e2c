package com.google.ai.edge.litert

import android.content.res.AssetManager
import java.nio.ByteBuffer
import java.nio.ByteOrder.LITTLE_ENDIAN
import stubs.Desk

enum class Accelerator { NONE, CPU, GPU, NPU }

class LiteRtException(message: String) : Exception(message)

/** LiteRT's class of this name; the network runs at the desk, and the GPU if that says so. */
class CompiledModel private constructor() : AutoCloseable {
    class Options(vararg val accelerators: Accelerator)

    fun createInputBuffers() = listOf(TensorBuffer())

    fun createOutputBuffers() = listOf(TensorBuffer())

    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>) {
        outputs[0].content = Desk.ask("run", inputs[0].content)
    }

    override fun close() {}

    companion object {
        fun create(assetManager: AssetManager, assetName: String, options: Options): CompiledModel {
            assetManager.open(assetName).close()
            if (options.accelerators.contentEquals(arrayOf(Accelerator.GPU))) {
                val refusal = String(Desk.ask("why not the GPU"))
                if (refusal.isNotEmpty()) throw LiteRtException(refusal)
            }
            return CompiledModel()
        }
    }
}

class TensorBuffer : AutoCloseable {
    internal var content = ByteArray(0)

    fun writeInt8(data: ByteArray) {
        content = data
    }

    fun writeFloat(data: FloatArray) {
        val buffer = ByteBuffer.allocate(4 * data.size).order(LITTLE_ENDIAN)
        buffer.asFloatBuffer().put(data)
        content = buffer.array()
    }

    fun readInt8() = content

    fun readFloat() = FloatArray(content.size / 4).also {
        ByteBuffer.wrap(content).order(LITTLE_ENDIAN).asFloatBuffer().get(it)
    }

    override fun close() {}
}
