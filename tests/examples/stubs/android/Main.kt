package stubs

import android.content.Context
import com.example.googlenet.classify
import com.example.googlenet.decode
import com.example.googlenet.openClassifier
import com.example.googlenet.orientation
import com.example.googlenet.selfTest
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder.LITTLE_ENDIAN

/** Runs the app's classifier with what an APK would have in ASSETS. */
fun main(arguments: Array<String>) {
    val (task, assets) = arguments
    val context = Context(assets)
    openClassifier(context).use { classifier ->
        if (task == "processor") Desk.tell(classifier.processor)
        if (task == "selftest") Desk.tell(classifier.selfTest(context))
        for (path in arguments.drop(2)) {
            if (task == "orientation") {
                Desk.tell("${orientation(File(path).readBytes())}")
                continue
            }
            val photo = decode(File(path).readBytes(), classifier.model.preprocessing)
            if (task == "size") Desk.tell("${photo.height} ${photo.width}")
            if (task == "pixels") {
                Desk.ask("pixels", floats(classifier.model.preprocessing.input(photo)))
            }
            if (task != "classify") continue
            val answer = classifier.classify(photo)
            val guesses = answer.guesses.map { "${it.label} ${it.probability}" }
            Desk.tell((guesses + answer.summary).joinToString("\n"))
        }
    }
}

private fun floats(values: FloatArray): ByteArray {
    val buffer = ByteBuffer.allocate(4 * values.size).order(LITTLE_ENDIAN)
    buffer.asFloatBuffer().put(values)
    return buffer.array()
}
