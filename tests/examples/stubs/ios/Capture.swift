import Foundation

final class CVImageBuffer {}
final class CMSampleBuffer {}
func CMSampleBufferGetImageBuffer(_ buffer: CMSampleBuffer) -> CVImageBuffer? { nil }

enum AVMediaType { case video }
class AVCaptureInput {}
class AVCaptureOutput {}
final class AVCaptureConnection {}

final class AVCaptureDevice {
    static func requestAccess(for type: AVMediaType, completionHandler: @escaping (Bool) -> Void) {}
    static func `default`(for type: AVMediaType) -> AVCaptureDevice? { nil }
}

final class AVCaptureDeviceInput: AVCaptureInput {
    init(device: AVCaptureDevice) throws {}
}

final class AVCaptureVideoDataOutput: AVCaptureOutput {
    var alwaysDiscardsLateVideoFrames = false
    func setSampleBufferDelegate(
        _ delegate: AVCaptureVideoDataOutputSampleBufferDelegate?, queue: DispatchQueue?
    ) {}
}

protocol AVCaptureVideoDataOutputSampleBufferDelegate: AnyObject {
    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
        from connection: AVCaptureConnection)
}

final class AVCaptureSession {
    var inputs: [AVCaptureInput] = []
    func addInput(_ input: AVCaptureInput) {}
    func addOutput(_ output: AVCaptureOutput) {}
    func startRunning() {}
    func stopRunning() {}
}

enum CGImagePropertyOrientation { case right }

final class CIImage {
    let extent = CGRect()
    init(cvPixelBuffer: CVImageBuffer) {}
    func oriented(_ orientation: CGImagePropertyOrientation) -> CIImage { self }
}

final class CIContext {
    func createCGImage(_ image: CIImage, from: CGRect) -> CGImage? { nil }
}
