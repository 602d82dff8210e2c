/// A part of a picture, in pixels.
struct Window {
    let left: Int
    let top: Int
    let width: Int
    let height: Int
}

/// The crop and the resize of a file: what training and evaluation see of a photograph.
///
/// The input of a file for whole photographs has margins that the network does not look
/// at: the crop is between them, and they may hold anything.
struct Preprocessing: Decodable {
    let height: Int
    let width: Int
    private let cropFraction: Float
    private let rows: Int
    private let columns: Int

    private enum CodingKeys: String, CodingKey {
        case height, width
        case cropFraction = "crop_fraction"
        case rows = "margin_height"
        case columns = "margin_width"
    }

    private var innerHeight: Int { height - 2 * rows }
    private var innerWidth: Int { width - 2 * columns }

    /// Whether the file is for whole photographs, that MediaPipe stretches.
    var takesWholePhotos: Bool { rows > 0 || columns > 0 }

    /// The center of a picture with the proportions of the input.
    func window(photoWidth: Int, photoHeight: Int) -> Window {
        let largest = min(
            Float(photoHeight) / Float(innerHeight), Float(photoWidth) / Float(innerWidth))
        let tall = rounded(Float(innerHeight) * (cropFraction * largest))
        let wide = rounded(Float(innerWidth) * (cropFraction * largest))
        return Window(
            left: (photoWidth - wide) / 2, top: (photoHeight - tall) / 2,
            width: wide, height: tall)
    }

    /// The input from an upright picture: red, green and blue in 0..255, row by row.
    func input(_ photo: Photo) -> [Float] {
        let window = window(photoWidth: photo.width, photoHeight: photo.height)
        let across = means(from: window.width, to: innerWidth)
        var input = [Float](repeating: 0, count: height * width * 3)
        for (y, down) in means(from: window.height, to: innerHeight).enumerated() {
            let line = meanOfRows(of: photo, in: window, down)
            let start = ((rows + y) * width + columns) * 3
            for (x, mean) in across.enumerated() {
                for (i, weight) in mean.weights.enumerated() {
                    for color in 0..<3 {
                        let from = line[(mean.first + i) * 3 + color]
                        input[start + x * 3 + color] += weight * from
                    }
                }
            }
        }
        return input
    }
}

/// Halves go to the even number, as in Python.
private func rounded(_ value: Float) -> Int { max(1, Int(value.rounded(.toNearestOrEven))) }

/// The pixels first, first + 1, ... of which one pixel of the result is the mean.
private struct Mean {
    let first: Int
    let weights: [Float]
}

/// A mean with weights in a triangle for each of `after` pixels: an antialiased resize.
///
/// In 32 bits and in this order it rounds as TensorFlow does.
private func means(from before: Int, to after: Int) -> [Mean] {
    let step: Float = 1 / (Float(after) / Float(before))
    let reach = max(step, 1)  // of the triangle, to either side
    return (0..<after).map { place in
        let center = (Float(place) + 0.5) * step
        let first = max(0, Int((center - reach - 0.5).rounded(.up)))
        let last = min(before - 1, Int((center + reach - 0.5).rounded(.down)))
        let raw = (first...last).map { (source: Int) -> Float in
            max(0, 1 - abs((Float(source) + 0.5 - center) * (1 / reach)))
        }
        let scale = 1 / raw.reduce(0, +)
        return Mean(first: first, weights: raw.map { $0 * scale })
    }
}

/// The mean of some rows of the window: one row.
private func meanOfRows(of photo: Photo, in window: Window, _ mean: Mean) -> [Float] {
    var line = [Float](repeating: 0, count: window.width * 3)
    for (i, weight) in mean.weights.enumerated() {
        let start = (window.top + mean.first + i) * photo.width + window.left
        for x in 0..<window.width {
            for color in 0..<3 {
                line[x * 3 + color] += weight * Float(photo.pixels[4 * (start + x) + color])
            }
        }
    }
    return line
}
