import Foundation

typealias CFData = Data
typealias CFString = String

final class CGColorSpace {
    enum Model { case rgb, monochrome }
    let model = Model.rgb
}

func CGColorSpaceCreateDeviceRGB() -> CGColorSpace { CGColorSpace() }

enum CGImageAlphaInfo: UInt32 { case noneSkipLast = 5 }
struct CGBitmapInfo { let rawValue: UInt32 }
enum CGColorRenderingIntent { case defaultIntent }

final class CGDataProvider {
    let data: Data
    init?(data: CFData) { self.data = data }
}

/// Pixels of four bytes; the last is alpha where `hasAlpha`.
final class CGImage {
    let (width, height): (Int, Int)
    let colorSpace: CGColorSpace? = CGColorSpace()
    let pixels: [UInt8]
    let hasAlpha: Bool

    init(_ pixels: [UInt8], width: Int, height: Int) {
        (self.width, self.height, self.pixels, hasAlpha) = (width, height, pixels, true)
    }

    init?(
        width: Int, height: Int, bitsPerComponent: Int, bitsPerPixel: Int, bytesPerRow: Int,
        space: CGColorSpace, bitmapInfo: CGBitmapInfo, provider: CGDataProvider,
        decode: [CGFloat]?, shouldInterpolate: Bool, intent: CGColorRenderingIntent
    ) {
        (self.width, self.height) = (width, height)
        (pixels, hasAlpha) = ([UInt8](provider.data), false)
    }
}

final class CGContext {
    private let data: UnsafeMutablePointer<UInt8>

    init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int,
        bytesPerRow: Int, space: CGColorSpace, bitmapInfo: UInt32
    ) {
        self.data = data!.assumingMemoryBound(to: UInt8.self)
    }

    /// Draws over black, of the whole context's size.
    func draw(_ image: CGImage, in rect: CGRect) {
        for place in image.pixels.indices {
            let alpha = image.hasAlpha ? Int(image.pixels[place | 3]) : 255
            data[place] = UInt8((Int(image.pixels[place]) * alpha + 127) / 255)
        }
    }
}

// ImageIO; the desk decodes
struct CGImageSource {
    let image: CGImage
    let orientation: Int
}

let kCGImagePropertyOrientation: CFString = "Orientation"

func CGImageSourceCreateWithData(_ data: CFData, _ options: Any?) -> CGImageSource? {
    let found = Desk.ask("decode", data)
    let head = Desk.words(found.prefix(32))  // padded with spaces
    let image = CGImage([UInt8](found.dropFirst(32)), width: head[0], height: head[1])
    return CGImageSource(image: image, orientation: head[2])
}

func CGImageSourceCreateImageAtIndex(
    _ source: CGImageSource, _ index: Int, _ options: Any?
) -> CGImage? { source.image }

func CGImageSourceCopyPropertiesAtIndex(
    _ source: CGImageSource, _ index: Int, _ options: Any?
) -> Any? { [kCGImagePropertyOrientation: source.orientation] }
