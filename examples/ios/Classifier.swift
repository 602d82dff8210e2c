// iOS, MediaPipe Tasks: pod 'MediaPipeTasksVision', '0.10.21'
// int8.tflite lies in the app's bundle; it needs the metadata of requirements-mobile.txt.
// cropFraction is that of classifier.json within int8.tflite.

import MediaPipeTasksVision
import UIKit

final class Classifier {
    private let classifier: ImageClassifier
    private let cropFraction: CGFloat = 1

    init() throws {
        guard let path = Bundle.main.path(forResource: "int8", ofType: "tflite") else {
            throw CocoaError(.fileNoSuchFile)
        }
        classifier = try ImageClassifier(modelPath: path)
    }

    /// The labels of a picture with their probabilities, likeliest first.
    func classify(_ picture: UIImage) throws -> [(label: String, score: Float)] {
        // without it MediaPipe stretches the whole picture, which training never saw
        let result = try classifier.classify(
            image: MPImage(uiImage: picture), regionOfInterest: center(picture.size))
        let categories = result.classificationResult.classifications.first?.categories ?? []
        return categories.map { ($0.categoryName ?? "", $0.score) }
    }

    private func center(_ size: CGSize) -> CGRect {
        let side = cropFraction * min(size.width, size.height)
        let (width, height) = (side / size.width, side / size.height)
        return CGRect(x: (1 - width) / 2, y: (1 - height) / 2, width: width, height: height)
    }
}
