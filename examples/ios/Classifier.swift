// iOS, MediaPipe Tasks: pod 'MediaPipeTasksVision', '0.10.21'
// int8.tflite lies in the app's bundle; it needs the metadata of requirements-mobile.txt.

import MediaPipeTasksVision
import UIKit

final class Classifier {
    private let classifier: ImageClassifier

    init() throws {
        guard let path = Bundle.main.path(forResource: "int8", ofType: "tflite") else {
            throw CocoaError(.fileNoSuchFile)
        }
        classifier = try ImageClassifier(modelPath: path)
    }

    /// The labels of a picture with their probabilities, likeliest first.
    func classify(_ picture: UIImage) throws -> [(label: String, score: Float)] {
        let result = try classifier.classify(image: MPImage(uiImage: picture))
        let categories = result.classificationResult.classifications.first?.categories ?? []
        return categories.map { ($0.categoryName ?? "", $0.score) }
    }
}
