/// A picture: red, green, blue and a byte that is not looked at, row by row from the top.
struct Photo {
    let pixels: [UInt8]
    let width: Int
    let height: Int

    /// The picture upright, if EXIF says this orientation of it, 1 to 8.
    func turned(_ orientation: Int) -> Photo {
        guard (2...8).contains(orientation) else { return self }
        let isTransposed = orientation >= 5
        let reversesRows = [3, 4, 7, 8].contains(orientation)
        let reversesColumns = [2, 3, 6, 7].contains(orientation)
        let (wide, tall) = isTransposed ? (height, width) : (width, height)
        var turned: [UInt8] = []
        turned.reserveCapacity(pixels.count)
        for row in 0..<tall {
            let y = reversesRows ? tall - 1 - row : row
            for column in 0..<wide {
                let x = reversesColumns ? wide - 1 - column : column
                let from = 4 * (isTransposed ? x * width + y : y * width + x)
                turned.append(contentsOf: pixels[from..<from + 4])
            }
        }
        return Photo(pixels: turned, width: wide, height: tall)
    }
}
