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

/** Decodes with Java's own library: JPEG and PNG, no smaller than they are. */
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
        return Bitmap(image)
    }
}
