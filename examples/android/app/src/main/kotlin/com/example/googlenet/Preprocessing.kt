package com.example.googlenet

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import org.json.JSONObject

/** A part of a picture, in pixels. */
class Window(val left: Int, val top: Int, val width: Int, val height: Int)

/**
 * The crop and the resize of a file: what training and evaluation see of a photograph.
 *
 * The input of a file for whole photographs has margins that the network does not look
 * at: the crop is between them, and they may hold anything.
 */
class Preprocessing(description: JSONObject) {
    val height = description.getInt("height")
    val width = description.getInt("width")
    private val cropFraction = description.getDouble("crop_fraction").toFloat()
    private val rows = description.optInt("margin_height")
    private val columns = description.optInt("margin_width")
    private val innerHeight = height - 2 * rows
    private val innerWidth = width - 2 * columns

    /** Whether the file is for whole photographs, that MediaPipe stretches. */
    val takesWholePhotos = rows > 0 || columns > 0

    /** How often a JPEG's sides may be halved while it is decoded, so that it looks alike. */
    fun halvings(photoWidth: Int, photoHeight: Int): Int {
        val least = 3 * max(innerHeight, innerWidth) / cropFraction
        val ratio = min(photoWidth, photoHeight) / least
        return if (ratio >= 8) 3 else if (ratio >= 4) 2 else if (ratio >= 2) 1 else 0
    }

    /** The center of a picture with the proportions of the input. */
    fun window(photoWidth: Int, photoHeight: Int): Window {
        val largest = min(photoHeight.toFloat() / innerHeight, photoWidth.toFloat() / innerWidth)
        val tall = round(innerHeight * (cropFraction * largest))
        val wide = round(innerWidth * (cropFraction * largest))
        return Window((photoWidth - wide) / 2, (photoHeight - tall) / 2, wide, tall)
    }

    /** The input from an upright picture: red, green and blue in 0..255, row by row. */
    fun input(photo: Photo): FloatArray {
        val window = window(photo.width, photo.height)
        val across = means(window.width, innerWidth)
        val lines = Array(window.height) { y -> resizedRow(photo, window, y, across) }
        val input = FloatArray(height * width * 3)
        means(window.height, innerHeight).forEachIndexed { y, mean ->
            val start = ((rows + y) * width + columns) * 3
            mean.weights.forEachIndexed { i, weight ->
                val line = lines[mean.first + i]
                for (x in line.indices) input[start + x] += weight * line[x]
            }
        }
        return input
    }
}

/** Halves go to the even number, as in Python. */
private fun round(value: Float) = max(1, Math.rint(value.toDouble()).toInt())

/** The pixels first, first + 1, ... of which one pixel of the result is the mean. */
private class Mean(val first: Int, val weights: FloatArray)

/** A mean with weights in a triangle for each of `after` pixels: an antialiased resize. */
private fun means(before: Int, after: Int): List<Mean> {
    val step = before.toDouble() / after
    val reach = max(step, 1.0) // of the triangle, to either side
    return List(after) { place ->
        val center = (place + 0.5) * step
        val first = max(0, ceil(center - reach - 0.5).toInt())
        val last = min(before - 1, floor(center + reach - 0.5).toInt())
        val raw = List(last - first + 1) {
            max(0.0, 1 - abs(first + it + 0.5 - center) / reach)
        }
        val sum = raw.sum()
        Mean(first, FloatArray(raw.size) { (raw[it] / sum).toFloat() })
    }
}

/** One row of the window, with as many pixels as there are means. */
private fun resizedRow(photo: Photo, window: Window, y: Int, means: List<Mean>): FloatArray {
    val start = (window.top + y) * photo.width + window.left
    val row = FloatArray(means.size * 3)
    means.forEachIndexed { x, mean ->
        mean.weights.forEachIndexed { i, weight ->
            val pixel = photo.pixels[start + mean.first + i]
            row[x * 3] += weight * (pixel shr 16 and 255)
            row[x * 3 + 1] += weight * (pixel shr 8 and 255)
            row[x * 3 + 2] += weight * (pixel and 255)
        }
    }
    return row
}
