import Foundation

private let right = "right"

/// The self-test of an export, selftest.json, for one of its files.
struct SelfTest {
    private let test: Test
    private let expected: FileTest

    init(_ json: Data, file: String) throws {
        test = try JSONDecoder().decode(Test.self, from: json)
        guard let expected = test.files[file] else {
            throw UnreadableFile(reason: "the self-test does not know \(file)")
        }
        self.expected = expected
    }

    /// "passed (...)", or what is wrong; classify: an image's name to probabilities.
    func run(labels: [String], classify: (String) throws -> [Float]) rethrows -> String {
        if let wrong = wrongLabels(labels) { return wrong }
        let found = try expected.answers.map { try classify($0.image) }
        let mistakes = expected.answers[0].probabilities.keys.filter { $0 != right }.sorted()
        let apart = distance(found, right)
        if apart <= expected.tolerance {
            return "passed (\((["labels"] + mistakes).joined(separator: ", ")))"
        }
        return named(mistakes.map { ($0, distance(found, $0)) }, apart)
    }

    private func wrongLabels(_ labels: [String]) -> String? {
        for (line, pair) in zip(labels, test.labels).enumerated() where pair.0 != pair.1 {
            return "labels: line \(line + 1) is \(pair.0), must be \(pair.1)"
        }
        if labels.count == test.labels.count { return nil }
        return "labels: there are \(labels.count), must be \(test.labels.count)"
    }

    private func named(_ mistakes: [(name: String, apart: Double)], _ apart: Double) -> String {
        let differ = String(
            format: "the answers differ by %.3f, allowed %.3f", apart, expected.tolerance)
        guard let nearest = mistakes.min(by: { $0.apart < $1.apart }),
            nearest.apart <= apart / 2
        else { return "unknown: \(differ); they are not those of a known mistake" }
        return "\(nearest.name): \(test.mistakes[nearest.name] ?? "") (\(differ))"
    }

    /// The mean over the images of the largest difference of a probability.
    private func distance(_ found: [[Float]], _ name: String) -> Double {
        let apart = zip(expected.answers, found).map { answer, probabilities in
            zip(answer.classes, answer.probabilities[name] ?? []).map {
                abs(Double(probabilities[$0]) - $1)
            }.max() ?? .infinity
        }
        return apart.reduce(0, +) / Double(apart.count)
    }
}

private struct Test: Decodable {
    let labels: [String]
    let mistakes: [String: String]
    let files: [String: FileTest]
}

private struct FileTest: Decodable {
    let tolerance: Double
    let answers: [Expected]
}

private struct Expected: Decodable {
    let image: String
    let classes: [Int]
    let probabilities: [String: [Double]]
}
