"""Core ML packages are read and interpreted as saved, without coremltools."""

import numpy as np
import pytest
import tensorflow as tf
from making import classifier
from making_artifacts import LABELS
from making_coreml import package, step

from googlenet_keras.artifacts.artifact import open_classifier
from googlenet_keras.artifacts.coreml_package import PACKAGE_DATA, WEIGHTS_FILE
from googlenet_keras.artifacts.coreml_program import OPERATIONS, CoreMLProgram
from googlenet_keras.artifacts.deployable import deployable_network
from googlenet_keras.artifacts.runtimes import find_kind, open_runtime
from googlenet_keras.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)


def softmax(x):
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_saved_program_is_computed(tmp_path):
    program = open_runtime(package(tmp_path / "a.mlpackage"))
    assert (program.size, program.classes) == ((32, 32), 3)
    expected = softmax(IMAGES.mean(axis=(1, 2)))
    np.testing.assert_allclose(program(IMAGES), expected, atol=0.02)
    assert np.ptp(expected) > 0.2


def test_it_is_used_like_any_exported_file(tmp_path):
    artifact = open_classifier(package(tmp_path / "a.mlpackage"))
    assert artifact.labels == LABELS
    assert artifact.preprocessing.size == (32, 32)
    assert artifact.probabilities(IMAGES).shape == (3, 3)


def run(tmp_path, change, blobs=()):
    return CoreMLProgram(package(tmp_path / "a.mlpackage", change, blobs), 1)(IMAGES)


def test_weights_come_from_the_file_of_weights(tmp_path):
    bias = np.float16([[3, 0, 0]])

    def change(steps):
        add = step("add", {"x": "means", "y": slice(0, 1)}, "moved", "float16")
        steps[2].inputs["x"] = "moved"
        return [*steps[:2], add, *steps[2:]]

    plain = CoreMLProgram(package(tmp_path / "plain.mlpackage"), 1)(IMAGES)
    moved = run(tmp_path, change, [bias])
    odds = moved / moved[:, 2:] / (plain / plain[:, 2:])
    np.testing.assert_allclose(odds, np.exp([[3, 0, 0]] * 3), rtol=0.01)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_convolution_and_pooling_are_tensorflows(padding, stride):
    random = np.random.default_rng(1)
    x = random.normal(size=(1, 4, 9, 8)).astype("float32")
    kernel = random.normal(size=(5, 4, 3, 2)).astype("float32")
    given = {"strides": np.array([stride] * 2), "pad_type": padding,
             "pad": np.zeros(4, int)}  # fmt: skip
    found = OPERATIONS["conv"](
        x=x, weight=kernel, dilations=np.ones(2, int), groups=1, **given
    )
    last, options = (
        x.transpose(0, 2, 3, 1),
        {"strides": stride, "padding": padding.upper()},
    )
    expected = tf.nn.conv2d(last, kernel.transpose(2, 3, 1, 0), **options)
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1), expected, atol=1e-5)
    pooled = OPERATIONS["max_pool"](
        x=x, kernel_sizes=np.array([3, 2]), ceil_mode=False, **given
    )
    expected = tf.nn.max_pool2d(last, ksize=(3, 2), **options)
    np.testing.assert_array_equal(pooled.transpose(0, 2, 3, 1), expected)


def test_what_is_not_known_is_refused_by_name(tmp_path):
    def change(steps):
        steps[2].kind = "gelu"
        return steps

    path = package(tmp_path / "a.mlpackage", change)
    with pytest.raises(UserError, match="its operation 'gelu' is not known here"):
        open_runtime(path)


def test_a_program_of_another_input_is_refused(tmp_path):
    def change(steps):
        return [*steps[:-1], steps[0]]

    with pytest.raises(UserError, match="does not end with the classes"):
        open_runtime(package(tmp_path / "a.mlpackage", change))


@pytest.mark.parametrize("size", [0, 70, 130])
def test_damaged_weights_are_refused(tmp_path, size):
    def change(steps):
        steps[2].inputs["x"] = slice(0, 1)
        return steps

    path = package(tmp_path / "a.mlpackage", change, [np.float16([[1, 2, 3]])])
    weights = path / PACKAGE_DATA / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(UserError, match=r"a\.mlpackage cannot be run"):
        open_classifier(path)


def test_a_package_is_interpreted_and_not_timed(tmp_path):
    kind = find_kind(package(tmp_path / "a.mlpackage"))
    assert kind.is_interpreted
    assert kind.is_data
    assert not find_kind(tmp_path / "a.tflite").is_interpreted


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "tolerance"), [(16, 0.005), (8, 0.05)])
@pytest.mark.parametrize("variant", ["bn", "paper"])
def test_the_file_answers_as_the_network(variant, bits, tolerance, tmp_path):
    pytest.importorskip("coremltools", reason="coremltools is not installed")
    from googlenet_keras.exporting.converters import Source
    from googlenet_keras.exporting.coreml import write_coreml

    made = classifier(variant, size=32)
    made.save(tmp_path / "classifier")
    path = tmp_path / "a.mlpackage"
    write_coreml(Source(tmp_path / "classifier", tmp_path), path, weight_bits=bits)
    found = open_classifier(path)
    assert found.labels == CoreMLProgram(path, 1).labels == made.labels
    expected = deployable_network(made)(IMAGES.astype("float32"))["probabilities"]
    apart = np.abs(found.probabilities(IMAGES) - expected).max()
    assert 0 < apart < tolerance
    assert np.ptp(expected) > 4 * tolerance
