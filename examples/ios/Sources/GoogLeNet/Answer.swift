private let shownLabels = 5  // of a prediction set

/// What the probabilities of a network mean, as fitted on validation images.
struct Calibration: Decodable {
    private let refuseBelow: Float?
    private let leastProbability: Float

    private enum CodingKeys: String, CodingKey {
        case refuseBelow = "refuse_below"
        case leastProbability = "least_probability_90"
    }

    /// Whether a photograph is of none of the classes.
    func refuses(_ probabilities: [Float]) -> Bool {
        (probabilities.max() ?? 0) < (refuseBelow ?? 0)
    }

    /// How many labels are in the set of which one is right for 90 % of photographs.
    func setSize(_ probabilities: [Float]) -> Int {
        max(1, probabilities.filter { $0 >= leastProbability }.count)
    }
}

/// A label with its probability.
struct Guess {
    let label: String
    let probability: Float
}

/// What to tell a user about a photograph.
struct Answer {
    /// All labels, likeliest first; equal ones in the order of the labels.
    let guesses: [Guess]
    /// The prediction set, or "none of these"; nil if the network was not calibrated.
    let summary: String?

    init(_ model: ModelFile, _ probabilities: [Float]) {
        let places = probabilities.indices.sorted {
            (-probabilities[$0], $0) < (-probabilities[$1], $1)
        }
        guesses = places.map { Guess(label: model.labels[$0], probability: probabilities[$0]) }
        guard let calibration = model.calibration else {
            summary = nil
            return
        }
        let count = calibration.setSize(probabilities)
        summary = calibration.refuses(probabilities)
            ? "none of these" : "90 %: " + listed(guesses, count)
    }
}

private func listed(_ guesses: [Guess], _ count: Int) -> String {
    let shown = guesses.prefix(min(count, shownLabels)).map(\.label)
    let more = count > shownLabels ? ["\(count - shownLabels) more"] : []
    return (shown + more).joined(separator: " or ")
}
