import json
import os
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
import safetensors.numpy
from making import classifier as make_classifier
from making import refusing_classifier, two_modules

from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.calibration import Calibration
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.network.build import build_network


@pytest.fixture(scope="module", params=["paper", "torchvision"])
def classifier(request):
    arch = two_modules(request.param)
    network = build_network(arch, classes=3, image_size=(32, 48))
    preprocessing = Preprocessing(32, 48, 0.9)
    return Classifier(network, arch, preprocessing, ("a", "[b]", "<c>"), {"seed": 1})


CALIBRATION = Calibration(0.75, 0.25, 0.125)
SQUARES = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype("float32")
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3)).astype("float32")


@pytest.mark.slow
def test_it_comes_back_as_it_was_saved(classifier, tmp_path):
    classifier.save(tmp_path / "c")
    loaded = Classifier.load(tmp_path / "c")
    assert loaded.architecture == classifier.architecture
    assert loaded.preprocessing == classifier.preprocessing
    assert loaded.labels == classifier.labels
    assert loaded.provenance == {"seed": 1}
    for head, logits in classifier.logits(IMAGES).items():
        np.testing.assert_array_equal(loaded.logits(IMAGES)[head], logits)


@pytest.mark.slow
def test_calibration_divides_the_main_heads_logits_and_is_saved(tmp_path):
    made = make_classifier("bn")
    before = made.logits(SQUARES)
    calibrated = made.calibrate(CALIBRATION)
    calibrated.save(tmp_path)
    loaded = Classifier.load(tmp_path)
    assert loaded.calibration == CALIBRATION
    after = loaded.logits(SQUARES)
    np.testing.assert_allclose(after["main"], before["main"] / 0.75, rtol=1e-4)
    np.testing.assert_allclose(after["aux1"], before["aux1"], rtol=1e-4)


def test_a_saved_classifier_of_before_has_no_calibration(tmp_path):
    make_classifier("bn").save(tmp_path)
    path = tmp_path / "classifier.json"
    description = json.loads(path.read_text())
    del description["calibration"]
    path.write_text(json.dumps(description))
    assert Classifier.load(tmp_path).calibration is None


@pytest.mark.parametrize("calibration", [
    "x", [1], {"temperature": 1}, {**CALIBRATION.to_json(), "temperature": -1},
])  # fmt: skip
def test_a_calibration_that_cannot_be_is_refused(calibration, tmp_path):
    make_classifier("bn").save(tmp_path)
    path = tmp_path / "classifier.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps({**description, "calibration": calibration}))
    with pytest.raises(UserError, match="calibration"):
        Classifier.load(tmp_path)


def test_probabilities_are_the_main_heads_softmax(classifier):
    found = classifier.probabilities(IMAGES)
    exponents = np.exp(classifier.logits(IMAGES)["main"])
    np.testing.assert_allclose(found, exponents / exponents.sum(1, keepdims=True),
                               rtol=1e-5)  # fmt: skip
    assert classifier.heads == ("main", "aux1", "aux2")


def test_log_probabilities_are_each_heads_log_softmax(classifier):
    found = classifier.log_probabilities(IMAGES)
    assert tuple(found) == classifier.heads
    assert all(logs.dtype == np.float64 for logs in found.values())
    np.testing.assert_allclose(
        np.exp(found["main"]), classifier.probabilities(IMAGES), rtol=1e-5
    )


def test_what_is_missing_from_a_sum_of_1_is_the_probability_of_none(tmp_path):
    made = refusing_classifier("bn")
    exponents = np.exp(made.logits(SQUARES)["main"])
    expected = (exponents / exponents.sum(1, keepdims=True))[:, :-1]
    assert (expected.sum(1) < 0.995).all()
    made.save(tmp_path)
    loaded = Classifier.load(tmp_path)
    assert loaded.none_output
    assert loaded.labels == made.labels
    np.testing.assert_allclose(loaded.probabilities(SQUARES), expected, rtol=1e-4)
    for head, logs in loaded.log_probabilities(SQUARES).items():
        assert logs.shape == (2, 6), head
    logs = loaded.log_probabilities(SQUARES)["main"]
    np.testing.assert_allclose(np.exp(logs), expected, rtol=1e-4)
    assert not make_classifier("bn").none_output


def test_log_probabilities_of_huge_logits_are_finite(classifier, monkeypatch):
    huge = {"main": np.array([[1e4, -1e4]], "float32")}
    monkeypatch.setattr(Classifier, "logits", lambda self, images: huge)
    assert classifier.log_probabilities(IMAGES)["main"][0, 1] == -2e4


@pytest.mark.slow
def test_a_deployable_network_comes_back_without_heads(tmp_path):
    network = build_network(classes=2, image_size=32, width=0.125, auxiliary=False)
    arch = get_architecture("bn").scale_width(0.125)
    Classifier(network, arch, Preprocessing(32, 32, 1.0), ("a", "b")).save(tmp_path)
    assert Classifier.load(tmp_path).heads == ("main",)


def test_trained_in_half_precision_it_loads_in_float32(tmp_path):
    arch = two_modules()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build_network(arch, classes=2, image_size=32)
    finally:
        keras.config.set_dtype_policy("float32")
    Classifier(network, arch, Preprocessing(32, 32, 1.0), ("a", "b")).save(tmp_path)
    loaded = Classifier.load(tmp_path)
    assert loaded.network.get_layer("conv1_7x7_s2").compute_dtype == "float32"
    np.testing.assert_array_equal(
        loaded.network.get_layer("conv1_7x7_s2").kernel,
        network.get_layer("conv1_7x7_s2").kernel,
    )


@pytest.fixture
def saved(classifier, tmp_path):
    classifier.save(tmp_path / "c")
    return tmp_path / "c"


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["a", "b"]},
        {"labels": None},
        {"labels": [1, 2, 3]},
        {"labels": [["a"], ["b"], ["c"]]},
        {"labels": [None, None, None]},
        {"labels": {"a": 1, "b": 2, "c": 3}},
        {"labels": "abc"},
        {"labels": ["a", "a", "b"]},
        {"labels": ["a", "b", ""]},
        {"heads": 3},
        {"heads": None},
        {"provenance": 5},
        {"architecture": 5},
        {"preprocessing": []},
        {"preprocessing": {"height": 10**9, "width": 32, "crop_fraction": 1}},
        {"preprocessing": {"height": 32.5, "width": 32, "crop_fraction": 1}},
        {"preprocessing": {"height": 32, "width": 32, "crop_fraction": None}},
        {"architecture": {"rows": []}},
        {"preprocessing": {"height": 32}},
        {"preprocessing": {"height": "x", "width": 32, "crop_fraction": 1}},
        {"preprocessing": {"height": 32, "width": 32, "crop_fraction": 2}},
    ],
)
def test_a_changed_description_is_refused(saved, change):
    path = saved / "classifier.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=r"classifier\.json|weights are another"):
        Classifier.load(saved)


def test_labels_are_different_texts_in_python_too(classifier):
    for labels in (("a", "b", "a"), ("a", "b", ""), (1, 2, 3)):
        with pytest.raises(UserError, match="labels"):
            replace(classifier, labels=labels)


@pytest.mark.parametrize(
    ("field", "value"),
    [("padding", "foo"), ("auxiliary_pool", "x"), ("dropout", 2), ("name", "a/b")],
)
def test_a_changed_architecture_is_refused(saved, field, value):
    path = saved / "classifier.json"
    description = json.loads(path.read_text())
    description["architecture"][field] = value
    path.write_text(json.dumps(description))
    with pytest.raises(UserError):
        Classifier.load(saved)


@pytest.mark.slow
def test_cut_or_missing_weights_are_refused(saved):
    path = saved / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"weights\.safetensors cannot be loaded"):
        Classifier.load(saved)
    path.unlink()
    with pytest.raises(UserError, match=r"weights\.safetensors cannot be loaded"):
        Classifier.load(saved)


@pytest.mark.slow
def test_a_run_that_has_no_classifier_yet(run_folder, tmp_path):
    copy = shutil.copytree(run_folder, tmp_path / "run")
    shutil.rmtree(copy / "classifier")
    with pytest.raises(UserError, match="classifier"):
        Classifier.load(copy)


def test_a_run_without_a_classifier_says_so(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"has no classifier\.json; train again"):
        Classifier.load(tmp_path)


@pytest.mark.parametrize("change", [lambda x: x * np.nan, lambda x: x > 0])
def test_weights_that_are_no_finite_numbers_are_refused(saved, change):
    path = saved / "weights.safetensors"
    weights = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(
        weights | {"main/bias": change(weights["main/bias"])}, path
    )
    with pytest.raises(UserError, match=r"weights\.safetensors cannot .*main/bias"):
        Classifier.load(saved)


def test_weights_of_another_networks_size_are_not_read(saved):
    os.truncate(saved / "weights.safetensors", 2**40)
    with pytest.raises(UserError, match="bytes at most; it has 1,099,511,627,776"):
        Classifier.load(saved)


def test_a_pipe_in_place_of_weights_is_refused(saved):
    (saved / "weights.safetensors").unlink()
    os.mkfifo(saved / "weights.safetensors")
    with pytest.raises(UserError, match="only regular files are opened"):
        Classifier.load(saved)
