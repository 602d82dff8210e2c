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
        let lines = (0..<window.height).map { resizedRow($0, of: photo, in: window, across) }
        var input = [Float](repeating: 0, count: height * width * 3)
        for (y, mean) in means(from: window.height, to: innerHeight).enumerated() {
            let start = ((rows + y) * width + columns) * 3
            for (i, weight) in mean.weights.enumerated() {
                let line = lines[mean.first + i]
                for x in line.indices { input[start + x] += weight * line[x] }
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
private func means(from before: Int, to after: Int) -> [Mean] {
    let step = Double(before) / Double(after)
    let reach = max(step, 1)  // of the triangle, to either side
    return (0..<after).map { place in
        let center = (Double(place) + 0.5) * step
        let first = max(0, Int((center - reach - 0.5).rounded(.up)))
        let last = min(before - 1, Int((center + reach - 0.5).rounded(.down)))
        let raw = (first...last).map { max(0, 1 - abs(Double($0) + 0.5 - center) / reach) }
        let sum = raw.reduce(0, +)
        return Mean(first: first, weights: raw.map { Float($0 / sum) })
    }
}

/// One row of the window, with as many pixels as there are means.
private func resizedRow(
    _ y: Int, of photo: Photo, in window: Window, _ means: [Mean]
) -> [Float] {
    let start = (window.top + y) * photo.width + window.left
    var row = [Float](repeating: 0, count: means.count * 3)
    for (x, mean) in means.enumerated() {
        for (i, weight) in mean.weights.enumerated() {
            let pixel = 4 * (start + mean.first + i)
            for color in 0..<3 {
                row[x * 3 + color] += weight * Float(photo.pixels[pixel + color])
            }
        }
    }
    return row
}
