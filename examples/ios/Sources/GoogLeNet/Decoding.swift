import CoreGraphics
import Foundation
import ImageIO

/// An image file as an upright photo; what is transparent is black, as in training.
func decode(_ file: Data) throws -> Photo {
    guard let source = CGImageSourceCreateWithData(file as CFData, nil),
        let image = CGImageSourceCreateImageAtIndex(source, 0, nil)
    else { throw UnreadableFile(reason: "this is no image that iOS can read") }
    let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [String: Any]
    let orientation = properties?[kCGImagePropertyOrientation as String] as? Int ?? 1
    return try photo(image).turned(orientation)
}

/// The pixels of an image as they are stored, not turned.
func photo(_ image: CGImage) throws -> Photo {
    var pixels = [UInt8](repeating: 0, count: 4 * image.width * image.height)
    let isDrawn = pixels.withUnsafeMutableBytes { bytes in
        // its own color space, if that is RGB, leaves its numbers as they are
        let ownSpace = image.colorSpace.flatMap { $0.model == .rgb ? $0 : nil }
        guard
            let context = CGContext(
                data: bytes.baseAddress, width: image.width, height: image.height,
                bitsPerComponent: 8, bytesPerRow: 4 * image.width,
                space: ownSpace ?? CGColorSpaceCreateDeviceRGB(),
                bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
        else { return false }
        context.draw(image, in: CGRect(x: 0, y: 0, width: image.width, height: image.height))
        return true
    }
    guard isDrawn else { throw UnreadableFile(reason: "this image cannot be drawn") }
    return Photo(pixels: pixels, width: image.width, height: image.height)
}
