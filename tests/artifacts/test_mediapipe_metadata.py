import json
import zipfile
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from making import classifier as made_classifier
from PIL import Image
from running_mediapipe import by_mediapipe
from running_selftest import find_difference

from googlenet_keras.artifacts import mediapipe_metadata
from googlenet_keras.artifacts.artifact import Artifact, Contents
from googlenet_keras.calibration import Calibration
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.preprocessing import Crops
from googlenet_keras.exporting.converters import (
    Source,
    StaticModel,
    to_float32,
    write_tflite,
)
from googlenet_keras.files import read_json

TOLERANCES = {"float32": 1e-4, "float16": 0.005, "int8": 0.005}
SHAPES = [(90, 61), (200, 300), (40, 100)]


@pytest.mark.slow
def test_mediapipe_gives_the_labels_by_name(bundle, tmp_path):
    digit = write_noise(tmp_path / "digit.png", (32, 32))
    models = [bundle / f"{name}.tflite" for name in TOLERANCES]
    answers = by_mediapipe(*((model, digit, None) for model in models))
    for model, found in zip(models, answers, strict=True):
        (expected,) = Artifact.load(model).predict(digit, top=10)
        assert set(found) == set("0123456789")
        for label, probability in expected.top:
            tolerance = TOLERANCES[model.stem]
            assert found[label] == pytest.approx(probability, abs=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["phone", "phone-square"])
def test_the_phone_crop_is_what_mediapipe_makes_of_a_photo(bundle, tmp_path, kind):
    file = bundle / "float32.tflite"
    exported = Artifact.load(file)
    # what the file asks for is the largest square, which says less
    geometry = replace(exported.preprocessing, crop_fraction=0.75)
    photos = [write_noise(tmp_path / f"{x[0]}.png", x) for x in SHAPES]
    regions = [geometry.region_of_interest(*shape) for shape in SHAPES]
    answers = by_mediapipe(
        *(
            (file, photo, (None if kind == "phone" else region._asdict()))
            for photo, region in zip(photos, regions, strict=True)
        )
    )
    found = np.array([[x[label] for label in exported.labels] for x in answers])
    gaps = {}
    for other in ("phone", "phone-square"):
        crops = [Crops(geometry, other).read(x.read_bytes()).numpy() for x in photos]
        gaps[other] = np.abs(exported.probabilities(np.concatenate(crops)) - found)
    # it interpolates in 32nds of a pixel, at a region's border with what lies beyond;
    # how much that moves, the training tells
    own = gaps.pop(kind).max()
    assert own < 0.03
    (gap,) = gaps.values()
    assert gap.max() > 2 * own  # the crops tell the two apart


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "int8",
        *(
            pytest.param(name, marks=pytest.mark.exhaustive)
            for name in ("float32", "float16")
        ),
    ],
)
def test_the_self_test_passes_with_a_region_of_interest_alone(bundle, name):
    file, folder = bundle / f"{name}.tflite", bundle / "selftest"
    test = read_json(folder / "selftest.json")
    exported = Artifact.load(file)
    images = [folder / x["image"] for x in test["files"][file.name]["answers"]]
    (width, height) = Image.open(images[0]).size
    region = exported.preprocessing.region_of_interest(height, width)._asdict()

    calls = [(file, image, part) for part in (region, None) for image in images]
    answers = by_mediapipe(*calls)
    found = [np.array([x[label] for label in exported.labels]) for x in answers]
    with_region, without = (
        find_difference(test, file.name, exported.labels, part)
        for part in (found[: len(images)], found[len(images) :])
    )
    assert with_region is None
    assert without.startswith("crop: ")


def make_noise(shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def write_noise(path, shape):
    path.write_bytes(tf.io.encode_png(make_noise(shape)).numpy())
    return path


@pytest.mark.slow
def test_mediapipe_names_no_label_for_what_is_refused(tmp_path):
    made = made_classifier("bn")
    photo = write_noise(tmp_path / "noise.png", (64, 64))
    (tmp_path / "work").mkdir()
    convert = cache(lambda path: to_float32(StaticModel(path)))

    def refusing_below(threshold):
        fitted = Calibration(1.0, 0.1, 0.1, threshold)
        made.calibrate(fitted).save(tmp_path / f"{threshold}")
        file = tmp_path / f"{threshold}.tflite"
        source = Source(tmp_path / f"{threshold}", tmp_path / "work")
        write_tflite(lambda model: convert(model.path), source, file)
        assert Artifact.load(file).calibration == fitted
        return file

    second, first = np.sort(made.probabilities(make_noise((64, 64))[None])[0])[-2:]
    thresholds = (None, float(first + second) / 2, float(first) + 0.01)
    everything, best, nothing = by_mediapipe(
        *((refusing_below(threshold), photo, None) for threshold in thresholds)
    )
    assert len(everything) == 7
    assert best == {max(everything, key=everything.get): pytest.approx(first)}
    assert nothing == {}


def test_the_card_is_read_back(bundle):
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    data = (bundle / "int8.tflite").read_bytes()
    buffer = data[data.index(b"M001") - 4 :]
    found = schema.ModelMetadataT.InitFromObj(
        schema.ModelMetadata.GetRootAsModelMetadata(buffer, 0)
    )
    assert found.name == b"GoogLeNet (bn)"
    assert found.description == b"10 classes, trained on digits."
    assert found.license == b"not stated"
    (image,) = found.subgraphMetadata[0].inputTensorMetadata
    assert image.processUnits[0].options.mean == [0.0]
    assert image.processUnits[0].options.std == [1.0]
    (answer,) = found.subgraphMetadata[0].outputTensorMetadata
    assert answer.associatedFiles[0].name == b"labels.txt"


def test_without_mediapipe_the_labels_are_packed_all_the_same(
    bundle, monkeypatch, tmp_path
):
    data = (bundle / "float32.tflite").read_bytes()
    classifier = Classifier.load(bundle.parent)
    monkeypatch.setattr(mediapipe_metadata, "is_installed", lambda _: False)
    card = mediapipe_metadata.ModelCard.of(classifier, "CC0-1.0")
    plain = mediapipe_metadata.add_metadata(data[:5000], card, None)
    path = tmp_path / "plain.tflite"
    path.write_bytes(Contents.of(classifier).add_to_tflite(plain))
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode().split() == list("0123456789")
        assert json.loads(archive.read("classifier.json"))["preprocessing"] == {
            "height": 32, "width": 32, "crop_fraction": 1.0,
            "margin_height": 0, "margin_width": 0,
        }  # fmt: skip
    assert path.read_bytes()[:5000] == data[:5000]


@pytest.mark.slow
def test_the_license_is_the_weights_own_unless_one_is_given():
    made = replace(made_classifier("bn"), provenance={"licence": "MIT"})
    new = replace(made, provenance={"license": "MIT"})  # "licence" in older files
    unknown = replace(made, provenance={})
    assert mediapipe_metadata.ModelCard.of(new, None).license == "MIT"
    assert mediapipe_metadata.ModelCard.of(made, None).license == "MIT"
    assert mediapipe_metadata.ModelCard.of(made, "CC0-1.0").license == "CC0-1.0"
    assert mediapipe_metadata.ModelCard.of(unknown, None).license == "not stated"
