// swift-tools-version: 5.9
// LiteRT/ beside this file is a checkout of it, with its binary: see docs/phone.md of
// googlenet_keras.

import PackageDescription

let package = Package(
    name: "GoogLeNet",
    platforms: [.iOS(.v16)],
    products: [.library(name: "GoogLeNet", targets: ["GoogLeNet"])],
    dependencies: [.package(path: "LiteRT")],
    targets: [
        .target(
            name: "GoogLeNet",
            dependencies: [.product(name: "LiteRT", package: "LiteRT")],
            resources: [.copy("Resources")])
    ]
)
