#if canImport(LiteRT)
    import Foundation
    import LiteRT

    /// A classifier that runs on LiteRT: on the GPU if that takes the whole network.
    final class LiteRtClassifier: Classifier {
        let model: ModelFile
        let processor: String
        private let compiled: CompiledModel
        private let inputs: [TensorBuffer]
        private let outputs: [TensorBuffer]

        init() throws {
            let url = resource(modelName)
            model = try ModelFile(Data(contentsOf: url))
            let environment = try Environment()
            func compile(_ accelerator: Accelerator) throws -> CompiledModel {
                let options = try Options()
                try options.setHardwareAccelerators([accelerator])
                return try CompiledModel(
                    filePath: url.path, environment: environment, options: options)
            }
            do {
                // with the CPU allowed beside it, what the GPU cannot do would silently
                // run there
                compiled = try compile(.gpu)
                processor = "GPU"
            } catch {
                compiled = try compile(.cpu)
                processor = "CPU, not the GPU: \(error)"
            }
            inputs = try compiled.createInputBuffers()
            outputs = try compiled.createOutputBuffers()
        }

        func probabilities(_ photo: Photo) throws -> [Float] {
            let pixels = model.preprocessing.input(photo)
            // int8.tflite takes and gives bytes, the other files floats
            if try compiled.getInputTensorType(inputIndex: 0).elementType == .float32 {
                try inputs[0].write(pixels)
                try compiled.run(inputs: inputs, outputs: outputs)
                let probabilities: [Float] = try outputs[0].read()
                return Array(probabilities.prefix(model.labels.count))
            }
            try inputs[0].write(pixels.map { UInt8($0.rounded(.toNearestOrEven)) })
            try compiled.run(inputs: inputs, outputs: outputs)
            let bytes: [UInt8] = try outputs[0].read()
            return bytes.prefix(model.labels.count).map { Float($0) / 256 }
        }
    }

    /// The classifier of this package.
    func openClassifier() throws -> Classifier { try LiteRtClassifier() }
#endif
