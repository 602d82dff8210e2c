package com.example.googlenet

/**
 * A picture: its pixels row by row from the top left, each 0xAARRGGBB, as
 * Bitmap.getPixels gives them.
 */
class Photo(val pixels: IntArray, val width: Int, val height: Int) {

    /** The picture upright, if EXIF says this orientation of it, 1 to 8. */
    fun turned(orientation: Int): Photo {
        if (orientation !in 2..8) return this
        val transposed = orientation >= 5
        val reversedRows = orientation in setOf(3, 4, 7, 8)
        val reversedColumns = orientation in setOf(2, 3, 6, 7)
        val (wide, tall) = if (transposed) height to width else width to height
        val turned = IntArray(pixels.size)
        for (row in 0 until tall) {
            val y = if (reversedRows) tall - 1 - row else row
            for (column in 0 until wide) {
                val x = if (reversedColumns) wide - 1 - column else column
                turned[row * wide + column] =
                    if (transposed) pixels[x * width + y] else pixels[y * width + x]
            }
        }
        return Photo(turned, wide, tall)
    }

    /** The picture without transparency: what is transparent is black, as in training. */
    fun onBlack(): Photo {
        fun blend(pixel: Int, shift: Int): Int {
            val product = (pixel shr shift and 255) * (pixel ushr 24)
            return (product + 127) / 255 shl shift
        }
        val opaque = IntArray(pixels.size) {
            val pixel = pixels[it]
            OPAQUE or blend(pixel, 16) or blend(pixel, 8) or blend(pixel, 0)
        }
        return Photo(opaque, width, height)
    }
}

private const val OPAQUE = 0xff shl 24
