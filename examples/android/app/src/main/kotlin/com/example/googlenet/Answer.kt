package com.example.googlenet

import org.json.JSONObject

private const val SHOWN_LABELS = 5 // of a prediction set

/** What the probabilities of a network mean, as fitted on validation images. */
class Calibration(description: JSONObject) {
    private val refuseBelow = description.optDouble("refuse_below", 0.0).toFloat()
    private val leastProbability = description.getDouble("least_probability_90").toFloat()

    /** Whether a photograph is of none of the classes. */
    fun refuses(probabilities: FloatArray) = probabilities.max() < refuseBelow

    /** How many labels are in the set of which one is right for 90 % of photographs. */
    fun setSize(probabilities: FloatArray) =
        probabilities.count { it >= leastProbability }.coerceAtLeast(1)
}

/** A label with its probability. */
class Guess(val label: String, val probability: Float)

/** What to tell a user about a photograph. */
class Answer(model: ModelFile, probabilities: FloatArray) {
    /** All labels, likeliest first; equal ones in the order of the labels. */
    val guesses: List<Guess> = model.labels
        .mapIndexed { i, label -> Guess(label, probabilities[i]) }
        .sortedByDescending { it.probability }

    /** The prediction set, or "none of these"; null if the network was not calibrated. */
    val summary: String? = model.calibration?.let { calibration ->
        if (calibration.refuses(probabilities)) "none of these"
        else "90 %: " + listed(calibration.setSize(probabilities))
    }

    private fun listed(count: Int): String {
        val shown = guesses.take(minOf(count, SHOWN_LABELS)).map { it.label }
        val more = if (count > SHOWN_LABELS) listOf("${count - SHOWN_LABELS} more") else listOf()
        return (shown + more).joinToString(" or ")
    }
}
