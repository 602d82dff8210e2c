package com.example.googlenet

private val EXIF_LETTERS = "Exif\u0000\u0000".toByteArray()
private const val ORIENTATION_TAG = 0x0112

/**
 * The orientation, 1 to 8, that the EXIF block of a JPEG, PNG or WebP file says; 1 if none.
 *
 * BitmapFactory does not turn a photograph, and Android's ExifInterface reads neither PNG
 * nor WebP before Android 11.
 */
fun orientation(file: ByteArray): Int = Exif(file).orientation()

private class Exif(private val file: ByteArray) {

    fun orientation(): Int {
        val block = when (byte(0)) {
            0xff -> inJpeg()
            0x89 -> inPng()
            else -> inWebp()
        } ?: return 1
        val tiff = if (has(block, EXIF_LETTERS)) block + EXIF_LETTERS.size else block
        val little = has(tiff, "II".toByteArray())
        if (!little && !has(tiff, "MM".toByteArray())) return 1
        return inDirectory(tiff, little)
    }

    private fun inDirectory(tiff: Int, little: Boolean): Int {
        val offset = number(tiff + 4, 4, little)
        if (number(tiff + 2, 2, little) != 42 || offset <= 0) return 1
        for (i in 0 until number(tiff + offset, 2, little)) {
            val entry = tiff + offset + 2 + 12 * i
            if (entry < 0 || entry >= file.size) return 1
            if (number(entry, 2, little) != ORIENTATION_TAG) continue
            val bytes = mapOf(3 to 2, 4 to 4)[number(entry + 2, 2, little)] ?: return 1
            return number(entry + 8, bytes, little).takeIf { it in 1..8 } ?: 1
        }
        return 1
    }

    private fun inJpeg(): Int? {
        var at = 2
        while (byte(at) == 0xff) {
            when (val marker = byte(at + 1)) {
                0x00, 0xd9, 0xda -> return null
                0xff -> at += 1 // a fill byte
                0x01, in 0xd0..0xd8 -> at += 2
                else -> {
                    if (marker == 0xe1 && has(at + 4, EXIF_LETTERS)) return at + 4
                    at += 2 + number(at + 2, 2)
                }
            }
        }
        return null
    }

    private fun inPng(): Int? {
        var at = 8
        while (at in 8..<file.size) {
            if (has(at + 4, "eXIf".toByteArray())) return at + 8
            val size = number(at, 4)
            if (size < 0) return null // no step back
            at += 12 + size
        }
        return null
    }

    private fun inWebp(): Int? {
        if (!has(0, "RIFF".toByteArray())) return null
        var at = 12
        while (at in 12..<file.size) {
            if (has(at, "EXIF".toByteArray())) return at + 8
            val size = number(at + 4, 4, little = true)
            if (size < 0) return null
            at += 8 + size + size % 2
        }
        return null
    }

    private fun byte(at: Int) = file.getOrElse(at) { 0 }.toInt() and 0xff

    private fun has(at: Int, wanted: ByteArray) =
        wanted.indices.all { at + it in file.indices && file[at + it] == wanted[it] }

    private fun number(at: Int, bytes: Int, little: Boolean = false) =
        (0 until bytes).fold(0) { sum, i ->
            (sum shl 8) or byte(at + if (little) bytes - 1 - i else i)
        }
}
