import io
import runpy
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from making_artifacts import recalibrated
from making_pictures import (
    LONG,
    XMP,
    encoded,
    png16,
    scene,
    segment,
    transparent_files,
    turned_files,
    upright,
)
from PIL import Image
from sklearn.datasets import load_digits

from googlenet_keras.artifacts.artifact import Artifact
from googlenet_keras.calibration import Calibration
from googlenet_keras.predictor import predict

SCRIPT = Path(__file__).parents[2] / "examples" / "classify.py"


def printed(model, photo):
    """The lines that the example prints, run in this process."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setattr(sys, "argv", [str(SCRIPT), str(model), str(photo)])
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return out.getvalue().splitlines()


def printed_by_process(model, photo):
    """The same of a process, which has neither TensorFlow nor this project."""
    done = subprocess.run(
        [sys.executable, SCRIPT, model, photo],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


def classify(model, photo, printed=printed):
    """The label and the score of each of the first five lines."""
    lines = [line.split() for line in printed(model, photo)[:5]]
    return [(label, float(score.rstrip("%")) / 100) for score, label in lines]


@pytest.mark.parametrize("name", ["float32", "int8", "phone"])
def test_it_answers_as_predict(bundle, tmp_path, name):
    photo = tmp_path / "digit.png"  # what the network knows: its answers are no noise
    pixels = np.uint8(load_digits().images[7] * 255 / 16)
    Image.fromarray(pixels).resize((90, 90), Image.Resampling.BICUBIC).save(photo)
    found = dict(classify(bundle / f"{name}.tflite", photo, printed_by_process))
    (expected,) = predict(Artifact.load(bundle / f"{name}.tflite"), [photo], top=10)
    assert len(found) == 5
    assert np.ptp(list(found.values())) > 0.1  # or any answer would do
    for label, score in found.items():
        assert score == pytest.approx(dict(expected.top)[label], abs=0.03)


@pytest.fixture(scope="module")
def unsure(bundle, tmp_path_factory):
    """Finds, for a file, a photo whose labels 1, 2, 5 and 7 are likelier than the next.

    It is a mean of some digits, in the size of the network's input.
    """
    folder = tmp_path_factory.mktemp("unsure")

    @cache
    def find(name):
        exported = Artifact.load(bundle / f"{name}.tflite")
        return exported, *unsure_of(exported, folder / f"{name}.png")

    return find


def unsure_of(exported, photo):
    digits, random = load_digits().images, np.random.default_rng(0)
    for count in random.integers(2, 6, 300):
        pixels = random.choice(digits, count).mean(axis=0) * 255 / 16
        Image.fromarray(np.uint8(pixels)).resize((32, 32)).save(photo)
        (found,) = predict(exported, [photo], top=10)
        if all(found.top[n - 1][1] > found.top[n][1] for n in (1, 2, 5, 7)):
            return found, photo
    raise AssertionError("every label is too likely")


@pytest.mark.parametrize("name", ["float32", "int8"])
@pytest.mark.parametrize(("size", "refuse_below", "names"), [
    (1, None, 1), (2, 0.0, 2), (5, None, 5), (7, None, 6), (2, 1.0, 0),
])  # fmt: skip
def test_its_last_line_is_the_answer(
    bundle, unsure, tmp_path, name, size, refuse_below, names
):
    exported, plain, photo = unsure(name)
    likely, unlikely = (plain.top[i][1] for i in (size - 1, size))
    least = (likely + unlikely) / 2
    calibration = Calibration(1.0, least, 0.0, refuse_below)
    copy = recalibrated(bundle / f"{name}.tflite", tmp_path, calibration)
    (expected,) = predict(replace(exported, calibration=calibration), [photo])
    *lines, last = printed(copy, photo)
    assert len(lines) == 5
    assert last == ("" if expected.is_refused else "90 %: ") + expected.answer
    assert len(last.split(" or ")) == max(names, 1)
    assert (last == "none of these") == (names == 0)


def test_it_gives_no_answer_without_a_calibration(bundle, tmp_path):
    (tmp_path / "scene.png").write_bytes(encoded(scene(), "PNG"))
    copy = recalibrated(bundle / "int8.tflite", tmp_path, None)
    assert len(printed(copy, tmp_path / "scene.png")) == 5


@pytest.mark.parametrize("turn", range(1, 9))
def test_it_turns_as_exif_says(bundle, tmp_path, turn):
    files = turned_files(turn, *(("MM", LONG) if turn % 2 else ()))
    (tmp_path / "expected.png").write_bytes(encoded(upright(scene(), turn), "PNG"))
    expected = classify(bundle / "float32.tflite", tmp_path / "expected.png")
    for name in ("png before.png", "png after.png", "webp letters.webp"):
        (tmp_path / name).write_bytes(files[name])
        assert classify(bundle / "float32.tflite", tmp_path / name) == expected
    name = "jpeg after 50 kB of XMP.jpg"
    (tmp_path / name).write_bytes(files[name])
    found = dict(classify(bundle / "float32.tflite", tmp_path / name))
    for label, score in expected:
        assert found[label] == pytest.approx(score, abs=0.03)


def test_it_follows_neither_xmp_nor_a_damaged_block(bundle, tmp_path):
    plain = encoded(scene(), "JPEG")
    (tmp_path / "plain.jpg").write_bytes(plain)
    expected = classify(bundle / "int8.tflite", tmp_path / "plain.jpg")
    for number, content in enumerate((XMP, b"Exif\0\0II damaged")):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(plain[:20] + segment(0xE1, content) + plain[20:])
        assert classify(bundle / "int8.tflite", path) == expected


@pytest.mark.parametrize("name", ["rgba.png", "palette.gif", "16 bits gray.png"])
def test_it_decodes_as_predict(bundle, tmp_path, name):
    files = {name: data for name, (data, _) in transparent_files().items()}
    files["16 bits gray.png"] = png16(scene()[..., :1] * np.uint16(257))
    (tmp_path / name).write_bytes(files[name])
    model = bundle / "float32.tflite"
    (expected,) = predict(Artifact.load(model), [tmp_path / name], top=5)
    found = classify(model, tmp_path / name)
    assert [label for label, _ in found] == [label for label, _ in expected.top]


def test_labels_of_equal_scores_keep_their_order(bundle, tmp_path):
    (tmp_path / "black.png").write_bytes(encoded(np.zeros((9, 9, 3), np.uint8), "PNG"))
    found = classify(bundle / "int8.tflite", tmp_path / "black.png")
    places = [(-score, int(label)) for label, score in found]
    assert places == sorted(places)
