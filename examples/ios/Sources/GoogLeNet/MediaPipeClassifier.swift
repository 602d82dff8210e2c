#if canImport(MediaPipeTasksVision)
    import MediaPipeTasksVision
    import UIKit

    /// A classifier that runs on MediaPipe Tasks, which crops and resizes itself.
    ///
    /// The file needs the metadata of requirements-mobile.txt.
    final class MediaPipeClassifier: Classifier {
        let model: ModelFile
        let processor = "CPU"
        private let classifier: ImageClassifier

        init() throws {
            model = try ModelFile(Data(contentsOf: resource(modelName)))
            let options = ImageClassifierOptions()
            options.baseOptions.modelAssetPath = resource(modelName).path
            options.scoreThreshold = 0  // that of the file would leave labels out
            classifier = try ImageClassifier(options: options)
        }

        func probabilities(_ photo: Photo) throws -> [Float] {
            let image = try MPImage(uiImage: UIImage(cgImage: cgImage(photo)))
            let found = try model.preprocessing.takesWholePhotos
                ? classifier.classify(image: image)
                : classifier.classify(image: image, regionOfInterest: region(of: photo))
            var probabilities = [Float](repeating: 0, count: model.labels.count)
            for category in found.classificationResult.classifications[0].categories {
                probabilities[category.index] = category.score
            }
            return probabilities
        }

        /// What training saw of such a photograph: without it MediaPipe stretches the whole.
        private func region(of photo: Photo) -> CGRect {
            let seen = model.preprocessing.window(
                photoWidth: photo.width, photoHeight: photo.height)
            let (width, height) = (CGFloat(photo.width), CGFloat(photo.height))
            return CGRect(
                x: CGFloat(seen.left) / width, y: CGFloat(seen.top) / height,
                width: CGFloat(seen.width) / width, height: CGFloat(seen.height) / height)
        }

        private func cgImage(_ photo: Photo) throws -> CGImage {
            guard let provider = CGDataProvider(data: Data(photo.pixels) as CFData),
                let image = CGImage(
                    width: photo.width, height: photo.height, bitsPerComponent: 8,
                    bitsPerPixel: 32, bytesPerRow: 4 * photo.width,
                    space: CGColorSpaceCreateDeviceRGB(),
                    bitmapInfo: CGBitmapInfo(
                        rawValue: CGImageAlphaInfo.noneSkipLast.rawValue),
                    provider: provider, decode: nil, shouldInterpolate: false,
                    intent: .defaultIntent)
            else { throw UnreadableFile(reason: "this image cannot be made") }
            return image
        }
    }

    #if !canImport(LiteRT)
        /// The classifier of this package.
        func openClassifier() throws -> Classifier { try MediaPipeClassifier() }
    #endif
#endif
