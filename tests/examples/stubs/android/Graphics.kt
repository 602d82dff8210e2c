package android.graphics

import java.awt.image.BufferedImage
import javax.imageio.ImageIO

class RectF(val left: Float, val top: Float, val right: Float, val bottom: Float)

/** Pixels that are not premultiplied. */
class Bitmap(private val image: BufferedImage) {
    val width get() = image.width
    val height get() = image.height

    fun hasAlpha() = image.colorModel.hasAlpha()

    fun getPixels(
        pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int,
    ) {
        image.getRGB(x, y, width, height, pixels, offset, stride)
    }

    enum class Config { ARGB_8888 }

    companion object {
        fun createBitmap(colors: IntArray, width: Int, height: Int, config: Config): Bitmap {
            val image = BufferedImage(width, height, BufferedImage.TYPE_INT_ARGB)
            image.setRGB(0, 0, width, height, colors, 0, width)
            return Bitmap(image)
        }
    }
}

/** Decodes JPEG and PNG with Java's own library; what is left out of large ones differs. */
object BitmapFactory {
    class Options {
        var inJustDecodeBounds = false
        var inPremultiplied = true
        var inSampleSize = 1
        var outWidth = -1
        var outHeight = -1
        var outMimeType: String? = null
    }

    fun decodeByteArray(data: ByteArray, offset: Int, length: Int, options: Options): Bitmap? {
        val image = ImageIO.read(data.inputStream(offset, length)) ?: return null
        if (options.inJustDecodeBounds) {
            options.outWidth = image.width
            options.outHeight = image.height
            options.outMimeType = if (data[0].toInt() == -1) "image/jpeg" else "image/png"
            return null
        }
        return Bitmap(sampled(image, options.inSampleSize))
    }

    private fun sampled(image: BufferedImage, ratio: Int): BufferedImage {
        if (ratio == 1) return image
        fun size(side: Int) = (side + ratio - 1) / ratio
        val result = BufferedImage(size(image.width), size(image.height), image.type)
        for (y in 0 until result.height) {
            for (x in 0 until result.width) {
                result.setRGB(x, y, image.getRGB(x * ratio, y * ratio))
            }
        }
        return result
    }
}
