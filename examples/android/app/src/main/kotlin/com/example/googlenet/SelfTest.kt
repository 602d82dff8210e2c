package com.example.googlenet

import java.util.Locale
import kotlin.math.abs
import org.json.JSONArray
import org.json.JSONObject

private const val RIGHT = "right"

/** The self-test of an export, selftest.json, for one of its files. */
class SelfTest(json: String, private val file: String) {
    private val test = JSONObject(json)
    private val expected = test.getJSONObject("files").getJSONObject(file)
    private val answers = expected.getJSONArray("answers").map { getJSONObject(it) }
    private val tolerance = expected.getDouble("tolerance")

    /** "passed (...)", or what is wrong; classify: an image's name to probabilities. */
    fun run(labels: List<String>, classify: (String) -> FloatArray): String {
        wrongLabels(labels)?.let { return it }
        val found = answers.map { classify(it.getString("image")) }
        val shown = answers.first().getJSONObject("probabilities")
        val mistakes = test.getJSONObject("mistakes").keys().asSequence().filter { shown.has(it) }
            .toList()
        val right = distance(found, RIGHT)
        if (right <= tolerance) {
            return "passed (${(listOf("labels") + mistakes).joinToString()})"
        }
        return named(mistakes.associateWith { distance(found, it) }, right)
    }

    private fun wrongLabels(labels: List<String>): String? {
        val right = test.getJSONArray("labels").map { getString(it) }
        labels.zip(right).forEachIndexed { i, (mine, theirs) ->
            if (mine != theirs) return "labels: line ${i + 1} is $mine, must be $theirs"
        }
        if (labels.size == right.size) return null
        return "labels: there are ${labels.size}, must be ${right.size}"
    }

    private fun named(mistakes: Map<String, Double>, right: Double): String {
        val differ = "the answers differ by %.3f, allowed %.3f"
            .format(Locale.ROOT, right, tolerance)
        val nearest = mistakes.minByOrNull { it.value }
        if (nearest == null || !(nearest.value <= right / 2)) {
            return "unknown: $differ; they are not those of a known mistake"
        }
        val text = test.getJSONObject("mistakes").getString(nearest.key)
        return "${nearest.key}: $text ($differ)"
    }

    /** The mean over the images of the largest difference of a probability. */
    private fun distance(found: List<FloatArray>, name: String) =
        answers.zip(found) { answer, probabilities ->
            val wanted = answer.getJSONObject("probabilities").getJSONArray(name)
            answer.getJSONArray("classes").map { getInt(it) }
                .mapIndexed { i, label -> abs(probabilities[label] - wanted.getDouble(i)) }.max()
        }.average()
}

private fun <T> JSONArray.map(get: JSONArray.(Int) -> T): List<T> = List(length()) { get(it) }
