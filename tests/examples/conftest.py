"""The apps' sources, compiled with stubs in place of the platforms' classes."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from making import ROOT, one_process
from making_pictures import encoded
from PIL import Image
from sklearn.datasets import load_digits

ANDROID = ROOT / "examples" / "android" / "app" / "src"
IOS = ROOT / "examples" / "ios" / "Sources" / "GoogLeNet"
STUBS = Path(__file__).with_name("stubs")
KOTLIN = "kotlin-compiler@2.4.20"
KOTLIN_LANGUAGE = "2.2"  # what the Gradle plugin of the app compiles
QUICK_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx1g")
FLAVORS = {"litert": "LiteRT", "mediapipe": "MediaPipeTasksVision"}  # Swift's modules
MODULES = ("AVFoundation", "CoreGraphics", "CoreImage", "ImageIO", "PhotosUI")
MODULES += ("SwiftUI", "UIKit")
# a variant's flavor, and what is changed in which of its files
KOTLIN_VARIANTS = {
    "float32": ("litert", {
        "main/*/Classifier.kt": {'MODEL = "int8.tflite"': 'MODEL = "float32.tflite"'},
        "litert/*/LiteRtClassifier.kt": {},
    }),
    "the whole photograph": ("litert", {"main/*/Preprocessing.kt": {
        "val window = window(photo.width, photo.height)":
        "val window = Window(0, 0, photo.width, photo.height)",
    }}),
    "BGR": ("litert", {"main/*/Preprocessing.kt": {
        "line[x * 3] +=": "line[x * 3 + 2] +=",
        "line[x * 3 + 2] += weight * (pixel and": "line[x * 3] += weight * (pixel and",
    }}),
    "aliased": ("litert", {"main/*/Preprocessing.kt": {"max(step, 1f)": "1f"}}),
    "turned the wrong way": ("litert", {"main/*/Photo.kt": {
        "setOf(3, 4, 7, 8)": "setOf(3, 4, 6, 7)",
        "setOf(2, 3, 6, 7)": "setOf(2, 3, 7, 8)",
    }}),
    "0..1": ("litert", {"litert/*/LiteRtClassifier.kt": {
        "pixels[it].toDouble()": "pixels[it].toDouble() / 255",
    }}),
    "reversed labels": ("litert", {"main/*/ModelFile.kt": {
        ".lines()": ".lines().reversed()",
    }}),
    "a larger set": ("litert", {"main/*/Answer.kt": {
        "it >= leastProbability": "it >= leastProbability / 2",
    }}),
    "no region of interest": ("mediapipe", {"mediapipe/*/MediaPipeClassifier.kt": {
        "if (!model.preprocessing.takesWholePhotos)": "if (false)",
    }}),
}  # fmt: skip
SWIFT_VARIANTS = {
    "the whole photograph": ("litert", "Preprocessing.swift", {
        "window(photoWidth: photo.width, photoHeight: photo.height)":
        "Window(left: 0, top: 0, width: photo.width, height: photo.height)",
    }),
    "no region of interest": ("mediapipe", "MediaPipeClassifier.swift", {
        "model.preprocessing.takesWholePhotos": "true",
    }),
}  # fmt: skip


def changed(source, changes, folder):
    """A copy of a source file in `folder`, with texts in it replaced."""
    code = source.read_text()
    for before in changes:
        assert code.count(before) == 1, before
    for before, after in changes.items():
        code = code.replace(before, after)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / source.name
    copy.write_text(code)
    return copy


def find(pattern):
    (path,) = ANDROID.glob(pattern.replace("*", "kotlin/com/example/googlenet"))
    return path


@pytest.fixture(scope="session")
def kotlin(shared_folder):
    """Commands that run the Android app on the JVM, by flavor or variant."""
    if not shutil.which("javac"):
        pytest.skip("Kotlin needs a JDK: apt-get install openjdk-17-jdk-headless")
    if not shutil.which("npm"):
        pytest.skip("npm, which has Kotlin's compiler, is missing")
    folder = shared_folder / "kotlin"
    library = folder / "node_modules" / "kotlin-compiler" / "lib"
    with one_process(shared_folder / "kotlin.lock"):
        if not (library / "kotlin-compiler.jar").exists():
            folder.mkdir(exist_ok=True)
            npm = ["npm", "install", "--ignore-scripts", "--prefer-offline", KOTLIN]
            done = subprocess.run(npm, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"npm cannot install {KOTLIN}: {done.stderr[-300:]}")
        if not (folder / "compiled").exists():
            compile_kotlin(folder, library)
    jars = {flavor: [folder / f"{flavor}.jar"] for flavor in FLAVORS}
    for name, (flavor, _) in KOTLIN_VARIANTS.items():
        jars[name] = [folder / name / "classes", *jars[flavor]]
    return {
        name: [
            *("java", *QUICK_JAVA, "-cp"),
            os.pathsep.join(map(str, [*paths, library / "kotlin-stdlib.jar"])),
            "stubs.MainKt",
        ]
        for name, paths in jars.items()
    }


def compile_kotlin(folder, library):
    """Compiles both flavors of the app, and the variants."""
    stubs, whole = sorted((STUBS / "android").glob("*.kt")), []
    for flavor in FLAVORS:
        sources = [*ANDROID.glob("main/**/*.kt"), *ANDROID.glob(f"{flavor}/**/*.kt")]
        whole.append(["-d", folder / f"{flavor}.jar", *stubs, *sources])
    for name, (flavor, files) in KOTLIN_VARIANTS.items():
        options = ["-d", folder / name / "classes", "-cp", folder / f"{flavor}.jar"]
        sources = [
            changed(find(pattern), changes, folder / name)
            for pattern, changes in files.items()
        ]
        whole.append([*options, *sources])
    common = ["-language-version", KOTLIN_LANGUAGE, "-no-reflect", "-Werror"]
    common += ["-kotlin-home", library.parent]
    lines = [part for one in whole for part in (*common, *one, "--")]
    compiler = ["java", *QUICK_JAVA, "-cp", library / "kotlin-compiler.jar"]
    done = subprocess.run(
        [*compiler, STUBS / "Compile.java", *lines], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder / "compiled").touch()


@pytest.fixture(scope="session")
def swift(shared_folder):
    """Makes a program of the Swift package's sources: by flavor or variant."""
    if not shutil.which("swiftc"):
        pytest.skip("swiftc is missing: apt-get install swiftlang, from Debian 13 on")

    def build(name):
        flavor, file, changes = SWIFT_VARIANTS.get(name, (name, None, {}))
        folder = shared_folder / "swift" / name.replace(" ", "_")
        with one_process(shared_folder / f"swift {name}.lock"):
            if not (folder / "app").exists():
                compile_swift(folder, flavor, file, changes)
        return folder / "app"

    return build


def compile_swift(folder, flavor, file, changes):
    sources = {path.name: path for path in IOS.glob("*.swift")}
    if file:
        sources[file] = changed(sources[file], changes, folder / "changed")
    folder.mkdir(parents=True, exist_ok=True)
    names = [*MODULES, FLAVORS[flavor]]  # empty, for the stubs are in the program
    modules = folder / "module.modulemap"
    modules.write_text("".join(f"module {name} {{}}\n" for name in names))
    done = subprocess.run(
        ["swiftc", "-wmo", "-module-name", "App", "-o", folder / "app", "-Xcc",
         f"-fmodule-map-file={modules}", *sources.values(),
         *(STUBS / "ios").glob("*.swift")],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Twenty photographs, made: digits in colors, in several sizes, JPEG and PNG."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(20):
        size = random.integers(40, 180, 2).tolist()
        digit = np.uint8(load_digits().images[number] * 255 / 16)
        image = Image.fromarray(digit).resize(size, Image.Resampling.BICUBIC)
        colors = random.uniform(0.7, 1, 3)
        pixels = np.asarray(image)[..., None] * colors + random.uniform(
            0, 9, (*size[::-1], 3)
        )
        kind = ("JPEG", "PNG")[number % 2]
        data = encoded(pixels.clip(0, 255).astype(np.uint8), kind)
        (folder / f"{number:02}.{kind.lower()}").write_bytes(data)
    return sorted(folder.iterdir())
