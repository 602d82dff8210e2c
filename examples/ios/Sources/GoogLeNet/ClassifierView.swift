import Foundation
import PhotosUI
import SwiftUI

private let shownGuesses = 3

/// The camera's picture with what it shows, a photo picker, and the self-test.
public struct ClassifierView: View {
    @StateObject private var state = ClassifierState()
    @State private var picked: PhotosPickerItem?

    public init() {}

    public var body: some View {
        VStack(spacing: 16) {
            if let image = state.image {
                Image(decorative: image, scale: 1).resizable().scaledToFit()
            }
            Text(state.text).font(.title3)
            PhotosPicker("Choose a photo", selection: $picked, matching: .images)
            Button("Camera") { state.startCamera() }
            Button("Self-test") { state.runSelfTest() }
        }
        .padding()
        .onAppear { state.startCamera() }
        .onDisappear { state.stopCamera() }
        .onChange(of: picked) { item in state.show(item) }
    }
}

/// What the view shows; the network runs on a queue of its own.
final class ClassifierState: ObservableObject {
    @Published private(set) var image: CGImage?
    @Published private(set) var text = ""
    private let queue = DispatchQueue(label: "network")
    private lazy var opened = Result { try openClassifier() }  // on the queue
    private lazy var camera = Camera { [weak self] image in
        self?.queue.sync { self?.answer(image) { try photo(image) } }
    }

    func startCamera() { camera.start() }

    func stopCamera() { camera.stop() }

    func runSelfTest() {
        camera.stop()
        run {
            let classifier = try self.opened.get()
            return "\(modelName) on the \(classifier.processor)\n\n\(try classifier.selfTest())"
        }
    }

    func show(_ item: PhotosPickerItem?) {
        camera.stop()
        Task {
            guard let file = try? await item?.loadTransferable(type: Data.self) else { return }
            queue.async { self.answer(nil) { try decode(file) } }
        }
    }

    private func run(_ task: @escaping () throws -> String) {
        queue.async { self.publish(nil, Result(catching: task)) }
    }

    private func answer(_ image: CGImage?, _ photo: () throws -> Photo) {
        publish(image, Result { lines(try opened.get().classify(photo())) })
    }

    private func publish(_ image: CGImage?, _ result: Result<String, Error>) {
        let shown: String
        switch result {
        case .success(let text): shown = text
        case .failure(let error): shown = "There is no answer: \(error)"
        }
        DispatchQueue.main.async {
            self.image = image
            self.text = shown
        }
    }

    private func lines(_ answer: Answer) -> String {
        let guesses = answer.guesses.prefix(shownGuesses).map {
            String(format: "%.1f %%  ", 100 * $0.probability) + $0.label
        }
        return ([answer.summary].compactMap { $0 } + guesses).joined(separator: "\n")
    }
}
