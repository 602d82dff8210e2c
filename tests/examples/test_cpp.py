import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from emulating import PHONE, prepare_emulator, unpack_libraries
from making_artifacts import recalibrated
from making_pictures import (
    encoded,
    jpeg_with_exif,
    png16,
    scene,
    tiff,
    transparent_files,
    turned_files,
)
from PIL import Image
from sklearn.datasets import load_digits

from googlenet_keras.artifacts.artifact import Artifact, Contents
from googlenet_keras.calibration import Calibration
from googlenet_keras.predictor import predict

SOURCES = Path(__file__).parents[2] / "examples" / "cpp"
PIXELS = Path(__file__).with_name("cpp") / "pixels.cc"
LITERT = Path(find_spec("ai_edge_litert").origin).parent
PACKAGES = "g++ libjpeg-dev libpng-dev nlohmann-json3-dev"
WARNINGS = ("-Wall", "-Wextra", "-Werror")
ANSWER = re.compile(r" *([\d.]+)%  (.*)")

pytestmark = pytest.mark.slow


def compile_program(
    output, source, *options, folder=SOURCES, compiler="g++", litert=LITERT
):
    """Compiles a program of the example; skips where its packages are missing."""
    if not shutil.which(compiler):
        pytest.skip(f"needs {compiler}: apt-get install {PACKAGES}")
    command = [compiler, "-std=c++17", *WARNINGS, "-I", folder, source, "-o", output]
    libraries = ["-ljpeg", "-lpng", litert / "libLiteRt.so", f"-Wl,-rpath,{litert}"]
    done = subprocess.run(
        [*command, *options, *libraries], capture_output=True, text=True
    )
    if re.search(r"(jpeglib|png|json)\.h.*: No such file", done.stderr):
        pytest.skip(f"needs headers: apt-get install {PACKAGES}")
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="session")
def program(shared_folder):
    """The example, compiled."""
    return compile_program(shared_folder / "classify", SOURCES / "classify.cc", "-O1")


@pytest.fixture(scope="session")
def write_pixels(shared_folder):
    """The program that writes the pixels which the example gives the network."""
    return compile_program(shared_folder / "pixels", PIXELS)


def run(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=60)


def classify(program, model, photo):
    """The label and the score of each line, and the last line."""
    done = run(program, model, photo)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    parts = [ANSWER.fullmatch(line).groups() for line in lines]
    return [(label, float(score) / 100) for score, label in parts], last


def digit(path):
    """A picture of a digit, of which the network is sure."""
    pixels = np.uint8(load_digits().images[7] * 255 / 16)
    Image.fromarray(pixels).resize((90, 70), Image.Resampling.BICUBIC).save(path)
    return path


def expected_answer(model, photo):
    (found,) = predict(Artifact.load(model), [photo], top=5)
    return found


def check_answers(program, model, photo, step=0.0):
    """Compares a program's answers with those of `predict`; they are printed in ‰."""
    expected = expected_answer(model, photo)
    found, last = classify(program, model, photo)
    assert [label for label, _ in found] == [label for label, _ in expected.top]
    for (_, score), (_, right) in zip(found, expected.top, strict=True):
        assert score == pytest.approx(right, abs=0.0006 + step)
    assert last == "90 %: " + expected.answer
    assert found[0][1] > found[4][1] + 0.1  # or any answer would do


@pytest.mark.parametrize("name", ["float32", "float16", "int8", "phone"])
def test_it_answers_as_predict(bundle, program, tmp_path, name):
    photo = digit(tmp_path / "digit.png")
    check_answers(program, bundle / f"{name}.tflite", photo)


def photos(folder):
    """Files of every kind that it reads, of several sizes."""
    wide, large = scene(300, 421), Image.fromarray(scene()).resize((1300, 900))
    gray = Image.fromarray(wide).convert("L")
    files = {
        "wide.jpg": encoded(wide, "JPEG"),
        "progressive.jpg": encoded(wide, "JPEG", progressive=True, quality=60),
        "decoded smaller.jpg": encoded(large, "JPEG"),
        "turned.jpg": jpeg_with_exif(encoded(large, "JPEG"), tiff(6)),
        "gray.jpg": encoded(gray, "JPEG"),
        "cmyk.jpg": encoded(Image.fromarray(wide).convert("CMYK"), "JPEG"),
        "tiny.png": encoded(scene(5, 3), "PNG"),
        "gray.png": encoded(gray, "PNG"),
        "bits.png": encoded(gray.convert("1"), "PNG"),
        "16 bits gray.png": png16(wide[..., :1] * np.uint16(257)),
    }
    files |= {name: data for name, (data, _) in transparent_files().items()}
    for turn in range(1, 9):
        files |= {f"{turn} {x}": data for x, data in turned_files(turn).items()}
    read = {x: data for x, data in files.items() if x.endswith((".jpg", ".png"))}
    for name, data in read.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in read]


def check_pixels(command, model, files, folder):
    """Compares a program's inputs with those of `predict`, in 0..255."""
    output = folder / "inputs.f32"  # not where a program lies
    done = run(*command, model, output, *files)
    assert done.returncode == 0, done.stderr
    geometry = Contents.read(model).preprocessing
    found = np.fromfile(output, np.float32).reshape(-1, *geometry.size, 3)
    assert len(found) == len(files)
    for path, pixels in zip(files, found, strict=True):
        expected = geometry.read(tf.io.read_file(str(path))).numpy()
        assert np.abs(pixels - expected).max() <= 1, path.name
        assert np.ptp(expected) > 0


@pytest.mark.parametrize("name", ["int8", "phone"])
def test_its_pixels_are_those_of_predict(bundle, write_pixels, tmp_path, name):
    files = photos(tmp_path)
    assert len(files) > 100
    check_pixels([write_pixels], bundle / f"{name}.tflite", files, tmp_path)


@pytest.mark.parametrize(("refuse_below", "least"), [
    (None, 0.0), (0.0, 0.5), (1.0, 0.5), (None, 0.999),
])  # fmt: skip
def test_its_last_line_is_the_answer(bundle, program, tmp_path, refuse_below, least):
    calibration = Calibration(1.0, least, 0.0, refuse_below)
    copy = recalibrated(bundle / "float32.tflite", tmp_path, calibration)
    photo = digit(tmp_path / "digit.png")
    expected = expected_answer(copy, photo)
    _, last = classify(program, copy, photo)
    assert last == ("" if expected.is_refused else "90 %: ") + expected.answer
    assert (last == "none of these") == (refuse_below == 1.0)


def test_it_gives_no_answer_without_a_calibration(bundle, program, tmp_path):
    copy = recalibrated(bundle / "int8.tflite", tmp_path, None)
    assert len(run(program, copy, digit(tmp_path / "x.png")).stdout.splitlines()) == 5


@pytest.mark.parametrize("name", ["float32", "float16", "dynamic", "int8", "int16x8"])
def test_it_passes_the_self_test(bundle, program, name):
    done = run(program, bundle / f"{name}.tflite", "--selftest")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "passed (labels, crop, channel order, scaling)\n"


def test_the_self_test_names_what_is_wrong(bundle, program, tmp_path):
    folder = shutil.copytree(SOURCES, tmp_path / "cpp")
    code = (folder / "preprocessing.h").read_text()
    changed = code
    for name, side in (("rows", "height"), ("columns", "width")):
        crop = re.compile(rf"{name} = std::max\(1, .*\);")
        assert len(crop.findall(code)) == 1
        changed = crop.sub(f"{name} = picture.{side} + 0 * int(scale);", changed)
    (folder / "preprocessing.h").write_text(changed)
    stretching = compile_program(
        tmp_path / "classify", folder / "classify.cc", folder=folder
    )
    done = run(stretching, bundle / "int8.tflite", "--selftest")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("crop: the whole photograph")
    assert "passed" not in done.stdout

    labels = ("zero", *map(str, range(1, 10)))
    copy = recalibrated(bundle / "int8.tflite", tmp_path, None, labels)
    done = run(program, copy, "--selftest", bundle / "selftest")
    assert done.returncode == 1
    assert "labels: line 1 is zero, must be 0\n" in done.stderr


def test_it_says_what_it_cannot_read(bundle, program, tmp_path):
    model, text = bundle / "int8.tflite", tmp_path / "text.jpg"
    text.write_text("no picture")
    cut = tmp_path / "cut.png"
    whole = encoded(scene(), "PNG")
    cut.write_bytes(whole[: len(whole) // 2])
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(b"\0" * 100)
    for words, message in (
        ((model, text), "text.jpg is neither a JPEG nor a PNG"),
        ((model, cut), "cut.png cannot be read: it is cut"),
        ((model, tmp_path / "none.png"), "no such file: "),
        ((bare, text), "export.py did not make it"),
        ((model, "--selftest", tmp_path), "no self-test of an export"),
    ):
        done = run(program, *words)
        assert done.returncode == 1
        assert message in done.stderr
    assert run(program, model).returncode == 2


def test_it_runs_on_a_phones_processor(bundle, shared_folder, tmp_path):
    compiler = "aarch64-linux-gnu-g++"
    if not shutil.which(compiler):
        pytest.skip("needs a compiler: apt-get install g++-aarch64-linux-gnu")
    emulator, root = prepare_emulator(shared_folder), unpack_libraries(shared_folder)
    litert = emulator.folder / "wheels" / "ai_edge_litert"
    classify, pixels = (
        compile_program(
            tmp_path / source.stem,
            source,
            f"--sysroot={root}",
            compiler=compiler,
            litert=litert,
        )
        for source in (SOURCES / "classify.cc", PIXELS)
    )

    def emulated(name, program):
        script = tmp_path / name
        command = f"{emulator.qemu} -cpu {PHONE.cpu} -L {root} {program}"
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)
        return script

    photo, model = digit(tmp_path / "digit.png"), bundle / "int8.tflite"
    check_answers(emulated("arm64 classify", classify), model, photo, step=1 / 256)
    command = [emulated("arm64 pixels", pixels)]
    check_pixels(command, model, [photo, *photos(tmp_path)[:20]], tmp_path)
