import numpy as np
import pytest
from running_selftest import find_difference

from googlenet_keras.artifacts.artifact import open_classifier
from googlenet_keras.artifacts.selftest import distances
from googlenet_keras.exporting.formats import FORMATS, default_formats
from googlenet_keras.files import read_json
from googlenet_keras.predictor import load_image

LABELS = ["cat", "dog", "owl"]
RIGHT, CROP, SCALING = [0.9, 0.1], [0.3, 0.5], [0.1, 0.8]  # of dog and owl


def answer(right, crop, scaling):
    probabilities = {"right": right, "crop": crop, "scaling": scaling}
    return {"image": "0.png", "classes": [1, 2], "probabilities": probabilities}


TEST = {
    "labels": LABELS,
    "mistakes": {"crop": "it is stretched", "scaling": "it is 0..1"},
    "files": {
        "int8.tflite": {
            "tolerance": 0.05,
            "answers": [answer(RIGHT, CROP, SCALING), answer(CROP, RIGHT, SCALING)],
        }
    },
}


def difference(*found, labels=LABELS):
    probabilities = [np.array([0, *pair]) for pair in found]
    return find_difference(TEST, "int8.tflite", labels, probabilities)


def test_right_answers_pass():
    assert difference(RIGHT, CROP) is None
    assert difference([0.86, 0.1], CROP) is None


def test_the_distance_is_the_mean_over_images_of_the_largest():
    found = [np.array([0, 0.7, 0.2]), np.array([0, 0.3, 0.4])]
    apart = distances(TEST["files"]["int8.tflite"], found)
    assert apart["right"] == pytest.approx((0.2 + 0.1) / 2)
    assert apart["crop"] == pytest.approx((0.4 + 0.6) / 2)


@pytest.mark.parametrize(("found", "message"), [
    ((CROP, RIGHT),
     "crop: it is stretched (the answers differ by 0.600, allowed 0.050)"),
    ((SCALING, SCALING),
     "scaling: it is 0..1 (the answers differ by 0.550, allowed 0.050)"),
    (([0.2, 0.75], [0.1, 0.7]),
     "scaling: it is 0..1 (the answers differ by 0.450, allowed 0.050)"),
    (([0.0, 0.0], [0.0, 0.0]),
     "unknown: the answers differ by 0.700, allowed 0.050; "
     "they are not those of a known mistake"),
    (([np.nan, 0.0], CROP),
     "unknown: the answers differ by nan, allowed 0.050; "
     "they are not those of a known mistake"),
])  # fmt: skip
def test_wrong_answers_are_named(found, message):
    assert difference(*found) == message


@pytest.mark.parametrize(("labels", "message"), [
    (["cat", "owl", "dog"], "labels: line 2 is owl, must be dog"),
    (["Cat", "dog", "owl"], "labels: line 1 is Cat, must be cat"),
    (["cat", "dog"], "labels: there are 2, must be 3"),
    ([*LABELS, "???"], "labels: there are 4, must be 3"),
])  # fmt: skip
def test_labels_are_compared_first(labels, message):
    assert difference(CROP, RIGHT, labels=labels) == message


@pytest.mark.parametrize("name", [f.name for f in default_formats()])
def test_every_exported_file_passes_on_its_own(bundle, name):
    file, folder = bundle / FORMATS[name].file, bundle / "selftest"
    test, exported = read_json(folder / "selftest.json"), open_classifier(file)
    images = np.stack([
        load_image(exported.preprocessing, folder / x["image"])
        for x in test["files"][file.name]["answers"]
    ])  # fmt: skip

    def difference(images):
        found = exported.probabilities(images)
        return find_difference(test, file.name, exported.labels, found)

    assert difference(images) is None
    assert difference(images[..., ::-1]).startswith("channel order: ")
    assert difference(images / 255).startswith("scaling: ")
    assert difference(images / 127.5 - 1).startswith("scaling: ")
