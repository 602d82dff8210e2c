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
        val input = FloatArray(height * width * 3)
        means(window.height, innerHeight).forEachIndexed { y, down ->
            val line = meanOfRows(photo, window, down)
            val start = ((rows + y) * width + columns) * 3
            across.forEachIndexed { x, mean ->
                mean.weights.forEachIndexed { i, weight ->
                    for (color in 0..2) {
                        val from = line[(mean.first + i) * 3 + color]
                        input[start + x * 3 + color] += weight * from
                    }
                }
            }
        }
        return input
    }
}

/** Halves go to the even number, as in Python. */
private fun round(value: Float) = max(1, Math.rint(value.toDouble()).toInt())

/** The pixels first, first + 1, ... of which one pixel of the result is the mean. */
private class Mean(val first: Int, val weights: FloatArray)

/**
 * A mean with weights in a triangle for each of `after` pixels: an antialiased resize.
 *
 * In 32 bits and in this order it rounds as TensorFlow does.
 */
private fun means(before: Int, after: Int): List<Mean> {
    val step = 1 / (after.toFloat() / before)
    val reach = max(step, 1f) // of the triangle, to either side
    return List(after) { place ->
        val center = (place + 0.5f) * step
        val first = max(0, ceil(center - reach - 0.5f).toInt())
        val last = min(before - 1, floor(center + reach - 0.5f).toInt())
        val raw = List(last - first + 1) {
            max(0f, 1 - abs((first + it + 0.5f - center) * (1 / reach)))
        }
        val scale = 1 / raw.reduce(Float::plus)
        Mean(first, FloatArray(raw.size) { raw[it] * scale })
    }
}

/** The mean of some rows of the window: one row. */
private fun meanOfRows(photo: Photo, window: Window, mean: Mean): FloatArray {
    val line = FloatArray(window.width * 3)
    mean.weights.forEachIndexed { i, weight ->
        val start = (window.top + mean.first + i) * photo.width + window.left
        for (x in 0 until window.width) {
            val pixel = photo.pixels[start + x]
            line[x * 3] += weight * (pixel shr 16 and 255)
            line[x * 3 + 1] += weight * (pixel shr 8 and 255)
            line[x * 3 + 2] += weight * (pixel and 255)
        }
    }
    return line
}
