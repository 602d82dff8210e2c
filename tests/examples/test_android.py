"""The Android app on a JVM: its crop, answers and self-test, and mistakes in them."""

import shutil

import pytest
from making_artifacts import recalibrated
from making_pictures import (
    encoded,
    scene,
    segment,
    tiff,
    transparent_files,
    turned_files,
)
from serving_networks import Desk, largest_difference, run_apart

from googlenet_keras.artifacts.artifact import Artifact, Contents
from googlenet_keras.calibration import Calibration
from googlenet_keras.data.decode import decode
from googlenet_keras.predictor import predict

pytestmark = pytest.mark.slow
MODEL = "int8.tflite"
WORDS = {
    "the whole photograph": "crop", "BGR": "channel order", "0..1": "scaling",
    "reversed labels": "labels",
}  # fmt: skip


@pytest.fixture
def assets(bundle, tmp_path):
    """Makes what the app has in its assets; file: the one that is there as `name`."""

    def make(file=MODEL, name=MODEL):
        folder = tmp_path / file
        folder.mkdir()
        shutil.copy(bundle / file, folder / name)
        shutil.copytree(bundle / "selftest", folder / "selftest")
        return folder

    return make


def find_pixels(command, folder, paths):
    desk = Desk(folder / MODEL)
    desk.run(*command, "pixels", folder, *paths)
    return desk.pixels


@pytest.mark.parametrize(
    ("variant", "file", "name"),
    [
        ("litert", "int8.tflite", MODEL),
        ("litert", "phone.tflite", MODEL),
        ("float32", "float32.tflite", "float32.tflite"),
    ],
)
def test_it_crops_and_answers_as_predict(kotlin, assets, pictures, variant, file, name):
    folder = assets(file, name)
    artifact = Artifact.load(folder / name)
    desk = Desk(folder / name)
    desk.run(*kotlin[variant], "pixels", folder, *pictures)
    assert largest_difference(desk.pixels, artifact.preprocessing, pictures) <= 1
    told = desk.run(*kotlin[variant], "classify", folder, *pictures)
    for text, expected in zip(told, predict(artifact, pictures, top=10), strict=True):
        *guesses, summary = text.splitlines()
        assert guesses[0].split()[0] == expected.top[0][0]
        for guess in guesses:
            label, probability = guess.split()
            likely = dict(expected.top)[label]
            assert float(probability) == pytest.approx(likely, abs=0.02)
        assert summary.startswith("90 %: ")


def test_its_prediction_set_and_refusal(kotlin, assets, bundle, pictures):
    folder = assets()
    plain = predict(Artifact.load(bundle / MODEL), pictures, top=10)
    unsure = max(plain, key=lambda answer: answer.top[1][1])
    scores = [probability for _, probability in unsure.top]

    def last_line(variant, least_probability, refuse_below=None):
        calibration = Calibration(1.0, least_probability, 0.0, refuse_below)
        recalibrated(bundle / MODEL, folder, calibration)
        desk = Desk(folder / MODEL)
        (text,) = desk.run(*kotlin[variant], "classify", folder, unsure.path)
        return text.splitlines()[-1]

    for least in (scores[0], scores[2], scores[6], 1.5 * scores[1]):
        found = last_line("litert", least)
        (expected,) = predict(Artifact.load(folder / MODEL), [unsure.path])
        assert found == f"90 %: {expected.answer}"
    assert last_line("a larger set", 1.5 * scores[1]) != found
    assert last_line("litert", scores[0], refuse_below=1.0) == "none of these"


def test_it_turns_as_exif_says(kotlin, assets, tmp_path):
    folder, files = assets(), {}
    for turn in range(1, 9):
        for name, data in turned_files(turn, order="IM"[turn % 2] * 2).items():
            files[tmp_path / f"{turn} {name}"] = data, turn
    jpeg, png, webp = (encoded(scene(), x) for x in ("JPEG", "PNG", "WEBP"))
    block = segment(0xE1, b"Exif\0\0" + tiff(9, "MM") + b"II damaged")
    files[tmp_path / "damaged.jpg"] = jpeg[:20] + block + jpeg[20:], 1
    # a chunk that ends where it begins
    chunk = (2**32 - 12).to_bytes(4, "big") + b"none"
    files[tmp_path / "damaged png.webp"] = png[:8] + chunk + png[8:], 1
    chunk = b"none" + (2**32 - 8).to_bytes(4, "little")
    files[tmp_path / "damaged.webp"] = webp[:12] + chunk + webp[12:], 1
    for path, (data, _) in files.items():
        path.write_bytes(data)
    told = Desk(folder / MODEL).run(*kotlin["litert"], "orientation", folder, *files)
    assert list(map(int, told)) == [turn for _, turn in files.values()]
    photos = [path for path in files if is_decodable(path.name)]
    geometry = Contents.read(folder / MODEL).preprocessing
    found = find_pixels(kotlin["litert"], folder, photos)
    assert largest_difference(found, geometry, photos) <= 1
    found = find_pixels(kotlin["turned the wrong way"], folder, photos)
    assert largest_difference(found, geometry, photos) > 20


def is_decodable(name):
    """Whether Java decodes it: no WebP, and no profile that it cannot read."""
    return not name.endswith(".webp") and "ICC" not in name


def test_what_is_transparent_is_black(kotlin, assets, tmp_path):
    folder = assets()
    for name in ("rgba.png", "palette.png", "color key.png"):
        (tmp_path / name).write_bytes(transparent_files()[name][0])
    photos = sorted(tmp_path.glob("*.png"))
    geometry = Contents.read(folder / MODEL).preprocessing
    found = find_pixels(kotlin["litert"], folder, photos)
    assert largest_difference(found, geometry, photos) <= 1


def test_it_decodes_a_large_jpeg_smaller(kotlin, assets, tmp_path):
    folder, photos = assets(), []
    for kind, *size in (
        ("JPEG", 219, 300), ("JPEG", 220, 300), ("JPEG", 438, 650), ("JPEG", 900, 439),
        ("JPEG", 880, 900), ("PNG", 880, 900),
    ):  # fmt: skip
        photos.append(tmp_path / f"{size[0]} {size[1]}.{kind.lower()}")
        photos[-1].write_bytes(encoded(scene(*size), kind))
    told = Desk(folder / MODEL).run(*kotlin["litert"], "size", folder, *photos)
    at_least = Contents.read(folder / MODEL).preprocessing.least_side
    for photo, text in zip(photos, told, strict=True):
        expected = decode(photo.read_bytes(), at_least).shape
        assert text == f"{expected[0]} {expected[1]}"


def test_an_aliased_resize_is_seen(kotlin, assets, pictures):
    folder = assets()
    geometry = Contents.read(folder / MODEL).preprocessing
    found = find_pixels(kotlin["aliased"], folder, pictures)
    assert largest_difference(found, geometry, pictures) > 5


def test_the_self_test_passes_on_litert(kotlin, assets):
    folder = assets()
    told = Desk(folder / MODEL).run(*kotlin["litert"], "selftest", folder)
    assert told == ["passed (labels, crop, channel order, scaling)"]


@pytest.mark.parametrize("mistake", WORDS)
def test_the_self_test_names_a_mistake(kotlin, assets, mistake):
    folder = assets()
    (told,) = Desk(folder / MODEL).run(*kotlin[mistake], "selftest", folder)
    assert told.startswith(f"{WORDS[mistake]}: ")


def test_it_says_whether_it_runs_on_the_gpu(kotlin, assets):
    folder = assets()
    desk = Desk(folder / MODEL)
    assert desk.run(*kotlin["litert"], "processor", folder) == ["GPU"]
    desk = Desk(folder / MODEL, gpu_refusal="Some ops are not accelerated.")
    told = desk.run(*kotlin["litert"], "processor", folder)
    assert told == ["CPU, not the GPU: Some ops are not accelerated."]


def test_mediapipe_needs_the_region_of_interest(kotlin, assets):
    pytest.importorskip("mediapipe")
    folder = assets()
    arguments = "selftest", folder
    (told,) = run_apart(folder / MODEL, *kotlin["mediapipe"], *arguments)
    assert told == "passed (labels, crop, channel order, scaling)"
    (told,) = run_apart(folder / MODEL, *kotlin["no region of interest"], *arguments)
    assert told.startswith("crop: ")
