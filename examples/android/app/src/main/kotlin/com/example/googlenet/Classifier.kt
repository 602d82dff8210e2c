package com.example.googlenet

import android.content.Context

/** The file in the app's assets that is run; export.py writes it there. */
const val MODEL = "int8.tflite"

/** Whether its input and output are bytes; those of the other files are floats. */
const val TAKES_BYTES = MODEL == "int8.tflite" || MODEL == "phone.tflite"

/** A network that classifies photographs. */
interface Classifier : AutoCloseable {
    val model: ModelFile

    /** The processor that it runs on, and why not a faster one. */
    val processor: String

    /** The probability of each of the labels, for an upright photograph. */
    fun probabilities(photo: Photo): FloatArray
}

/** The answer to a photograph. */
fun Classifier.classify(photo: Photo) = Answer(model, probabilities(photo))

/** "passed (...)", or what is wrong with this app: the self-test of the export. */
fun Classifier.selfTest(context: Context): String {
    fun read(name: String) = context.assets.open("selftest/$name").use { it.readBytes() }
    val test = SelfTest(String(read("selftest.json")), MODEL)
    return test.run(model.labels) { image ->
        probabilities(decode(read(image), model.preprocessing))
    }
}
