import subprocess
import sys

import numpy as np
import pytest
from making import ROOT, classifier, write_photos
from PIL import Image
from running_mediapipe import by_mediapipe

from googlenet_keras.artifacts.artifact import Artifact
from googlenet_keras.artifacts.deployable import deployable_network
from googlenet_keras.data.decode import decode
from googlenet_keras.data.preprocessing import Crops, Preprocessing
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.exporting.converters import (
    CALIBRATION_FILE,
    Source,
    to_float32,
    write_tflite,
)
from googlenet_keras.exporting.formats import FORMATS
from googlenet_keras.exporting.whole_photos import (
    SQUARENESS,
    choose_geometry,
    take_whole_photos,
    to_whole_photos,
    whole_photo_preprocessing,
)

SQUARE = Preprocessing(64, 64, 0.875)


def of_aspect(*aspects):
    """The geometry of photographs of these aspect ratios, as many of each."""
    shapes = np.array([[12000, round(12000 * aspect)] for aspect in aspects], np.int32)
    return whole_photo_preprocessing(SQUARE, shapes)


def photo(height, width, seed=0):
    """A photograph [height, width, 3] uint8 with patches of all sizes."""
    random = np.random.default_rng(seed)
    rows, columns = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    waves = random.uniform(1, 9, (3, 2, 1, 1)) * np.pi
    phases = random.uniform(0, 6, (3, 1, 1))
    image = np.sin(waves[:, 0] * rows + phases) * np.cos(waves[:, 1] * columns)
    return (127.5 + 127.5 * image.transpose(1, 2, 0)).astype(np.uint8)


@pytest.mark.parametrize(("aspect", "expected"), [
    (3 / 4, (196, 146, 34, 9)),  # 128 / 0.875 = 146.3, and 4 / 3 of that
    (4 / 3, (146, 196, 9, 34)),
    (1.0, (146, 146, 9, 9)),
])  # fmt: skip
def test_the_input_of_whole_photos_by_hand(aspect, expected):
    found = of_aspect(aspect)
    assert (*found.size, *found.margins) == expected
    assert found.crop_size == (128, 128)
    assert found.crop_fraction == 0.875


def test_a_photo_of_the_right_aspect_is_the_input_as_a_whole():
    geometry = of_aspect(3 / 4)
    left, top, right, bottom = geometry.region_of_interest(height=534, width=400)
    assert (top, bottom) == (0, 1)
    assert (left, right) == pytest.approx((0, 1), abs=0.005)


def test_of_another_photo_it_is_as_much_as_there_is():
    geometry = of_aspect(3 / 4)
    left, top, right, bottom = geometry.region_of_interest(height=400, width=400)
    assert (top, bottom) == (0, 1)
    assert (right - left) == pytest.approx(146 / 196, abs=0.005)
    assert left == pytest.approx(1 - right)


def test_the_middle_of_a_stretched_photo_is_the_crop():
    image = photo(534, 400)
    geometry = of_aspect(400 / 534)
    (whole,) = Crops(geometry, "phone")(image).numpy()
    crop = geometry(image).numpy()
    (rows, columns) = geometry.margins
    middle = whole[rows:-rows, columns:-columns]
    inner = crop[rows:-rows, columns:-columns]
    assert np.abs(middle - inner).mean() < 4  # the phone does not antialias
    assert np.abs(whole[:128, :128] - inner).mean() > 20
    assert not crop[:rows].any()


def test_other_crops_have_no_place():
    with pytest.raises(UserError, match="cannot take the crops '10'"):
        Crops(of_aspect(0.75), "10")


def test_a_geometry_between_the_mean_and_a_square_one():
    shapes = np.array([[4000, 3000]], np.int32)
    mean, half, square_one = (
        whole_photo_preprocessing(SQUARE, shapes, x) for x in (0, 0.5, 1)
    )
    seen = [np.divide(x.crop_size, x.size) for x in (mean, half, square_one)]
    np.testing.assert_allclose([np.prod(x) for x in seen], np.prod(seen[0]), rtol=0.02)
    height, width = seen[0]
    assert seen[1][0] / seen[1][1] == pytest.approx((height / width) ** 0.5, rel=0.02)
    assert seen[2][0] == pytest.approx(seen[2][1], rel=0.01)


@pytest.mark.slow
def test_the_geometry_is_the_best_one_for_the_networks_answers(tmp_path):
    write_photos(tmp_path / "photos" / "validation", {"a": 4, "b": 4}, (60, 40))
    write_photos(tmp_path / "photos" / "validation", {"c": 4}, (40, 60))
    write_photos(tmp_path / "photos" / "train", {"a": 2, "b": 2, "c": 2})
    split = open_dataset(str(tmp_path / "photos")).validation
    made = classifier("bn", classes=3)
    found = choose_geometry(made, split, np.array([2, 0, 1]))
    images = [decode(split.load(x)) for *_, x in split.in_order()]
    labels = [[2, 0, 1][int(label)] for _, label, _ in split.in_order()]
    shapes = np.array([image.shape[:2] for image in images], np.int32)
    losses = {}
    for squareness in SQUARENESS:
        geometry = whole_photo_preprocessing(made.preprocessing, shapes, squareness)
        inputs = np.stack([Crops(geometry, "phone")(x).numpy()[0] for x in images])
        network = take_whole_photos(deployable_network(made), geometry)
        rows = network.predict_on_batch(inputs)["probabilities"]
        losses[geometry] = -np.log(rows[range(12), labels]).sum()
    assert len(losses) == len(SQUARENESS)
    assert found == min(losses, key=losses.get)
    other = choose_geometry(made, split, np.array([0, 1, 2]))
    assert {found, other} <= {*losses}


def test_what_is_stretched_for_one_photo_is_squeezed_for_another():
    found = of_aspect(3 / 4, 4 / 3)
    # a side is 0.875 or 0.656 of a photograph's; their geometric mean is 0.758
    assert found.size == (168, 168)
    assert found.margins == (20, 20)


@pytest.mark.slow
def test_margins_are_dropped_and_blocks_averaged():
    network = deployable_network(classifier("bn"))
    geometry = of_aspect(3 / 4)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    whole = to_whole_photos(images, geometry)
    assert whole.shape == (2, *geometry.size, 3)
    whole[:, :34] = 255  # anything
    found = take_whole_photos(network, geometry)(whole.astype("float32"))
    expected = network(images.astype("float32"))["probabilities"]
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)


@pytest.mark.slow
def test_a_file_answers_a_stretched_photo_as_the_desk_answers_its_crop(tmp_path):
    made = classifier("bn")
    made.save(tmp_path / "classifier")
    geometry = whole_photo_preprocessing(
        made.preprocessing, np.array([[400, 300]], np.int32)
    )
    work = tmp_path / "work"
    work.mkdir()
    images = [photo(400, 300, seed) for seed in range(8)]
    inputs = np.stack([made.preprocessing(image).numpy() for image in images])
    np.save(work / CALIBRATION_FILE, inputs.round().astype("uint8"))
    source = Source(tmp_path / "classifier", work, whole_photos=geometry)
    FORMATS["phone"].make(source, tmp_path / "phone.tflite")
    write_tflite(to_float32, source, tmp_path / "float32.tflite")
    phone, exact = (
        Artifact.load(tmp_path / f"{name}.tflite") for name in ("phone", "float32")
    )
    assert phone.preprocessing == exact.preprocessing == geometry
    expected = made.probabilities(inputs)
    stretched, distorted = (
        np.concatenate([Crops(g, "phone")(image).numpy() for image in images])
        for g in (geometry, made.preprocessing)
    )
    found = exact.probabilities(stretched)
    np.testing.assert_allclose(found, expected, atol=0.015)
    assert np.abs(made.probabilities(distorted) - expected).max() > 0.03
    np.testing.assert_allclose(phone.probabilities(stretched), found, atol=0.05)
    (answer,) = phone.predict(images[0], top=1)
    assert answer.top[0][1] == pytest.approx(expected[0].max(), abs=0.05)
    file = tmp_path / "phone.tflite"
    Image.fromarray(images[0]).save(tmp_path / "photo.png")
    assert_example_agrees(file, tmp_path / "photo.png", answer)
    (by_app,) = by_mediapipe((file, tmp_path / "photo.png", None))
    (row,) = phone.probabilities(stretched[:1])
    for label, probability in zip(phone.labels, row, strict=True):
        assert by_app[label] == pytest.approx(probability, abs=0.02)


def assert_example_agrees(model, photo, prediction):
    """examples/classify.py puts the crop between the margins, too."""
    script = ROOT / "examples" / "classify.py"
    command = [sys.executable, script, model, photo]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    score, label = done.stdout.splitlines()[0].split(maxsplit=1)
    assert label == prediction.top[0][0]
    assert float(score.rstrip("%")) / 100 == pytest.approx(
        prediction.top[0][1], abs=0.02
    )
