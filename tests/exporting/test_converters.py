from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from making import classifier, two_modules
from making_pictures import transparent_files, turned_files, upright

from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.artifacts.deployable import deployable_network
from googlenet_keras.artifacts.runtimes import LiteRT
from googlenet_keras.data.decode import decode_unoriented
from googlenet_keras.exporting.converters import (
    Source,
    StaticModel,
    save_static,
    to_float32,
    to_int8,
    write_saved_model,
)
from googlenet_keras.exporting.inspection import inspect_tflite, operators

ABLATED = ablate(two_modules(), module="naive", head="dense")
NORMS = ("pool1_norm1", "conv2_norm2")
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Makes a format of a narrow network, once, and gives its own answers too."""
    folder = tmp_path_factory.mktemp("tflite")
    networks = {}

    @cache
    def convert(variant, name):
        if variant not in networks:
            whole = variant != ABLATED.name
            made = classifier(variant if whole else ABLATED, whole=whole)
            networks[variant] = deployable_network(made)
            save_static(networks[variant], folder / variant)
        norms = NORMS if variant == "paper" else ()
        to_format = {"float32": to_float32, "int8": to_int8}[name]
        data = to_format(StaticModel(folder / variant, IMAGES, norms))
        path = folder / f"{variant}_{name}.tflite"
        path.write_bytes(data)
        images = IMAGES.astype("float32")
        answers = networks[variant].predict_on_batch(images)["probabilities"]
        return path, answers

    return convert


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "name", "tolerance"), [
    ("bn", "float32", 1e-5),
    ("paper", "float32", 1e-5),
    (ABLATED.name, "float32", 1e-5),
    ("bn", "int8", 0.05),
    ("paper", "int8", 0.05),
])  # fmt: skip
def test_the_file_answers_as_the_network(converted, variant, name, tolerance):
    path, expected = converted(variant, name)
    found = LiteRT(path, threads=1)(IMAGES.astype("float32"))
    np.testing.assert_allclose(found, expected, atol=tolerance)
    assert np.ptp(expected) > 4 * tolerance


@pytest.mark.slow
def test_every_file_is_one_partition_and_needs_nothing_special(converted):
    for variant in ("bn", "paper"):
        path, _ = converted(variant, "float32")
        assert LiteRT(path, threads=1).partitions() == 1
        found = inspect_tflite(path.read_bytes(), (), is_integer=False)
        assert found["gpu_refuses"] == []
        assert "LOCAL_RESPONSE_NORMALIZATION" not in found["operators"]
        assert found["operators"]["CONV_2D"] == 57 + 2 * (variant == "paper")


@pytest.mark.slow
def test_int8_is_int8_but_for_the_response_norms(converted):
    path, _ = converted("bn", "int8")
    found = inspect_tflite(path.read_bytes(), (), is_integer=True)
    assert found["not_quantised"] == []
    assert found["npu_refuses"] == []
    path, _ = converted("paper", "int8")
    found = inspect_tflite(path.read_bytes(), NORMS, is_integer=True)
    assert len(found["not_quantised"]) == 2 * 7
    assert all(any(n in name for n in NORMS) for name in found["not_quantised"])
    assert found["operators"]["DEQUANTIZE"] == 2
    assert {"SQRT", "RSQRT"} <= set(found["npu_refuses"])


@pytest.mark.slow
def test_int8_takes_and_gives_bytes(converted):
    runtime = LiteRT(converted("paper", "int8")[0], threads=1)
    assert runtime._input["dtype"] is np.uint8
    assert runtime._input["quantization"] == (1.0, 0)
    assert runtime._output["dtype"] is np.uint8
    assert runtime.step == 1 / 256


@pytest.mark.slow
def test_a_full_int8_that_is_none_is_refused(converted):
    data = converted("paper", "int8")[0].read_bytes()
    with pytest.raises(ValueError, match=r"not full int8: .*SQRT"):
        inspect_tflite(data, (), is_integer=True)


@pytest.mark.slow
def test_operators_come_in_order(converted):
    kinds = [o.kind for o in operators(converted("bn", "float32")[0].read_bytes())]
    assert kinds[:4] == ["ADD", "PAD", "CONV_2D", "MAX_POOL_2D"]
    assert kinds[-3:] == ["MEAN", "FULLY_CONNECTED", "SOFTMAX"]


@pytest.mark.slow
def test_serve_bytes_decodes_files_of_every_kind_in_one_batch(tmp_path):
    made = classifier("bn")
    made.save(tmp_path / "saved")
    write_saved_model(Source(tmp_path / "saved", tmp_path), tmp_path / "saved_model")
    serve = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serve_bytes"]
    files, images = [], []
    for turn in range(1, 9):
        for data in turned_files(turn).values():
            files.append(data)
            images.append(upright(decode_unoriented(data).numpy(), turn))
    for data, colors in transparent_files().values():
        files.append(data)
        images.append(np.tile(np.repeat(np.uint8(colors), 3, axis=0), (6, 1, 1)))
    found = serve(image_bytes=tf.constant(files))["probabilities"].numpy()
    expected = made.probabilities(np.stack([made.preprocessing(x) for x in images]))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 0.01  # turns tell
