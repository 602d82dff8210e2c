import Foundation

/// The file in the bundle that is run; export.py writes it there.
let modelName = "int8.tflite"

/// A network that classifies photographs.
protocol Classifier {
    var model: ModelFile { get }
    /// The processor that it runs on, and why not a faster one.
    var processor: String { get }
    /// The probability of each of the labels, for an upright photograph.
    func probabilities(_ photo: Photo) throws -> [Float]
}

extension Classifier {
    /// The answer to a photograph.
    func classify(_ photo: Photo) throws -> Answer {
        Answer(model, try probabilities(photo))
    }

    /// "passed (...)", or what is wrong with this app: the self-test of the export.
    func selfTest() throws -> String {
        let folder = resource("selftest")
        let json = try Data(contentsOf: folder.appendingPathComponent("selftest.json"))
        return try SelfTest(json, file: modelName).run(labels: model.labels) { image in
            let file = try Data(contentsOf: folder.appendingPathComponent(image))
            return try probabilities(decode(file))
        }
    }
}

/// A file or a folder of the bundle's folder Resources.
func resource(_ name: String) -> URL {
    #if SWIFT_PACKAGE
        let bundle = Bundle.module
    #else
        let bundle = Bundle(for: BundleOfThis.self)
    #endif
    return bundle.bundleURL.appendingPathComponent("Resources").appendingPathComponent(name)
}

private final class BundleOfThis {}
