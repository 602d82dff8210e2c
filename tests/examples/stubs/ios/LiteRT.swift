#if canImport(LiteRT)
    import Foundation

    enum Accelerator { case cpu, gpu }
    enum ElementType { case float32, uint8 }
    struct TensorType { let elementType: ElementType }

    struct LiteRtError: Error, CustomStringConvertible { let description: String }

    final class Environment { init() throws {} }

    final class Options {
        var accelerators: Set<Accelerator> = []
        init() throws {}
        func setHardwareAccelerators(_ accelerators: Set<Accelerator>) throws {
            self.accelerators = accelerators
        }
    }

    /// LiteRT's class of this name; the network runs at the desk.
    final class CompiledModel {
        init(filePath: String, environment: Environment, options: Options? = nil) throws {
            guard FileManager.default.fileExists(atPath: filePath) else {
                throw LiteRtError(description: "no file")
            }
            if options?.accelerators == [.gpu] {
                let refusal = String(decoding: Desk.ask("why not the GPU"), as: UTF8.self)
                if !refusal.isEmpty { throw LiteRtError(description: refusal) }
            }
        }
        func createInputBuffers(signatureIndex: Int = 0) throws -> [TensorBuffer] {
            [TensorBuffer()]
        }
        func createOutputBuffers(signatureIndex: Int = 0) throws -> [TensorBuffer] {
            [TensorBuffer()]
        }
        func getInputTensorType(inputIndex: Int, signatureIndex: Int = 0) throws -> TensorType {
            let type = String(decoding: Desk.ask("type"), as: UTF8.self)
            return TensorType(elementType: type == "float32" ? .float32 : .uint8)
        }
        func run(
            inputs: [TensorBuffer], outputs: [TensorBuffer], options: Options? = nil,
            signatureIndex: Int = 0
        ) throws { outputs[0].content = Desk.ask("run", inputs[0].content) }
    }

    final class TensorBuffer {
        var content = Data()
        func write<T>(_ data: [T]) throws { content = bytes(data) }
        func read<T>() throws -> [T] {
            content.withUnsafeBytes { Array($0.bindMemory(to: T.self)) }
        }
    }
#endif
