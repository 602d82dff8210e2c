#if canImport(MediaPipeTasksVision)
    import Foundation

    final class UIImage {
        let cgImage: CGImage
        init(cgImage: CGImage) { self.cgImage = cgImage }
    }

    final class MPImage {
        let image: CGImage
        init(uiImage: UIImage) throws { image = uiImage.cgImage }
    }

    final class BaseOptions { var modelAssetPath = "" }

    final class ImageClassifierOptions {
        let baseOptions = BaseOptions()
        var scoreThreshold: Float?
    }

    struct Category: Decodable {
        let index: Int
        let score: Float
    }

    struct ImageClassifierResult: Decodable {
        let categories: [Category]
        var classificationResult: Self { self }
        var classifications: [Self] { [self] }
    }

    /// MediaPipe's class of this name; MediaPipe itself runs at the desk, in Python.
    final class ImageClassifier {
        private let threshold: Float?

        init(options: ImageClassifierOptions) throws { threshold = options.scoreThreshold }

        func classify(image: MPImage) throws -> ImageClassifierResult {
            try ask(image.image, [])
        }

        func classify(image: MPImage, regionOfInterest region: CGRect) throws
            -> ImageClassifierResult
        {
            try ask(image.image, [region.minX, region.minY, region.maxX, region.maxY])
        }

        private func ask(_ image: CGImage, _ region: [CGFloat]) throws -> ImageClassifierResult {
            let argb = stride(from: 0, to: image.pixels.count, by: 4).flatMap {
                [255, image.pixels[$0], image.pixels[$0 + 1], image.pixels[$0 + 2]]
            }
            let words: [String] =
                ["mediapipe", "\(image.width)", "\(image.height)"]
                + [threshold.map { "\($0)" } ?? "null"] + region.map { "\($0)" }
            let found = Desk.ask(words.joined(separator: " "), Data(argb))
            return try JSONDecoder().decode(ImageClassifierResult.self, from: found)
        }
    }
#endif
