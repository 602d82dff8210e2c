import AVFoundation
import CoreImage
import Foundation
import SwiftUI

/// The camera: its pictures for the network, and for the screen.
final class Camera: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate {
    let session = AVCaptureSession()
    private let queue = DispatchQueue(label: "camera")
    private let context = CIContext()
    private let show: (CGImage) -> Void

    /// show: called with each upright picture, outside the main thread.
    init(show: @escaping (CGImage) -> Void) {
        self.show = show
    }

    /// Starts the camera, if the user allows it.
    func start() {
        AVCaptureDevice.requestAccess(for: .video) { [self] isGranted in
            guard isGranted else { return }
            queue.async { [self] in
                if session.inputs.isEmpty { connect() }
                session.startRunning()
            }
        }
    }

    func stop() {
        queue.async { [self] in session.stopRunning() }
    }

    private func connect() {
        guard let device = AVCaptureDevice.default(for: .video),
            let input = try? AVCaptureDeviceInput(device: device)
        else { return }
        let output = AVCaptureVideoDataOutput()
        output.alwaysDiscardsLateVideoFrames = true
        output.setSampleBufferDelegate(self, queue: queue)
        session.addInput(input)
        session.addOutput(output)
    }

    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
        from connection: AVCaptureConnection
    ) {
        guard let buffer = CMSampleBufferGetImageBuffer(sampleBuffer) else { return }
        // the sensor's rows are upright in landscape; the app is held in portrait
        let upright = CIImage(cvPixelBuffer: buffer).oriented(.right)
        if let image = context.createCGImage(upright, from: upright.extent) { show(image) }
    }
}
