package com.example.googlenet

import android.graphics.Bitmap
import android.graphics.BitmapFactory

private const val JPEG = "image/jpeg"

/** An image file as an upright photo; a large JPEG is decoded smaller, as in training. */
fun decode(file: ByteArray, preprocessing: Preprocessing): Photo {
    val options = BitmapFactory.Options().apply { inJustDecodeBounds = true }
    BitmapFactory.decodeByteArray(file, 0, file.size, options)
    options.inJustDecodeBounds = false
    options.inPremultiplied = false
    if (options.outMimeType == JPEG) {
        val halvings = preprocessing.halvings(options.outWidth, options.outHeight)
        options.inSampleSize = 1 shl halvings
    }
    val bitmap = requireNotNull(BitmapFactory.decodeByteArray(file, 0, file.size, options)) {
        "this is no image that Android can read"
    }
    return bitmap.toPhoto().turned(orientation(file))
}

/** The pixels of a bitmap, without transparency. */
fun Bitmap.toPhoto(): Photo {
    val pixels = IntArray(width * height)
    getPixels(pixels, 0, width, 0, 0, width, height)
    val photo = Photo(pixels, width, height)
    return if (hasAlpha()) photo.onBlack() else photo
}
