import Foundation

/// What an exported .tflite file says of itself: its labels, its crop, its thresholds.
struct ModelFile {
    let labels: [String]
    let preprocessing: Preprocessing
    /// nil if the network was not calibrated.
    let calibration: Calibration?

    init(_ file: Data) throws {
        let entries = try storedEntries(of: [UInt8](file))
        guard let lines = entries["labels.txt"], let json = entries["classifier.json"] else {
            throw UnreadableFile(reason: "the file has no labels.txt and classifier.json")
        }
        labels = String(decoding: lines, as: UTF8.self)
            .split(separator: "\n").map(String.init)
        let description = try JSONDecoder().decode(Description.self, from: Data(json))
        preprocessing = description.preprocessing
        calibration = description.calibration
    }

    private struct Description: Decodable {
        let preprocessing: Preprocessing
        let calibration: Calibration?
    }
}

/// A file that cannot be used, and why.
struct UnreadableFile: Error, CustomStringConvertible {
    let reason: String
    var description: String { reason }
}

private let endRecord: [UInt8] = [0x50, 0x4b, 5, 6]
private let endRecordBytes = 22

/// The entries of the zip archive at the end of a file, by name; they are not compressed.
private func storedEntries(of file: [UInt8]) throws -> [String: ArraySlice<UInt8>] {
    func number(_ at: Int, _ count: Int) -> Int {
        (0..<count).reduce(0) { $0 | Int(file[at + $1]) << (8 * $1) }
    }
    let last = file.count - endRecordBytes
    let places = stride(from: last, through: 0, by: -1)
    guard let end = places.first(where: { Array(file[$0..<$0 + 4]) == endRecord }) else {
        throw UnreadableFile(reason: "the file has no zip archive at its end")
    }
    var entries: [String: ArraySlice<UInt8>] = [:]
    var entry = number(end + 16, 4)  // of the directory
    for _ in 0..<number(end + 10, 2) {
        let (nameBytes, header) = (number(entry + 28, 2), number(entry + 42, 4))
        let name = String(decoding: file[entry + 46..<entry + 46 + nameBytes], as: UTF8.self)
        guard number(entry + 10, 2) == 0 else {
            throw UnreadableFile(reason: "\(name) is compressed")
        }
        let content = header + 30 + number(header + 26, 2) + number(header + 28, 2)
        entries[name] = file[content..<content + number(entry + 24, 4)]
        entry += 46 + nameBytes + number(entry + 30, 2) + number(entry + 32, 2)
    }
    return entries
}
