import json
import os
import struct

import keras
import numpy as np
import pytest
import safetensors.numpy
from making import two_modules

from googlenet_keras.errors import UserError
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import (
    assign_weights,
    named_weights,
    read_safetensors,
)


def tiny(seed):
    keras.utils.set_random_seed(seed)
    return build_network(two_modules(), image_size=32, classes=2)


@pytest.fixture(scope="module")
def network():
    """A network to which nothing is assigned."""
    return tiny(1)


@pytest.mark.slow
def test_weights_are_assigned_by_name():
    one, other = tiny(1), tiny(2)
    assign_weights(other, dict(reversed(named_weights(one).items())))
    image = np.full((1, 32, 32, 3), 200, "uint8")
    np.testing.assert_array_equal(one(image)["aux2"], other(image)["aux2"])


def test_mismatched_weights_are_named_and_nothing_is_assigned(network):
    before = named_weights(network)
    weights = {k: v + 1 for k, v in before.items()}
    del weights["main/bias"]
    weights["fc/bias"] = np.zeros(2)
    weights["main/kernel"] = np.zeros((3, 3))
    with pytest.raises(UserError) as error:
        assign_weights(network, weights)
    assert "missing: main/bias;" in str(error.value)
    assert "left over: fc/bias;" in str(error.value)
    shape = before["main/kernel"].shape
    assert f"main/kernel is (3, 3), not {shape}" in str(error.value)
    for name, value in named_weights(network).items():
        np.testing.assert_array_equal(value, before[name])


KERNEL, VARIANCE = "conv1_7x7_s2/kernel", "inception_4a_3x3_bn/moving_variance"


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        (KERNEL, lambda x: np.where(x == x.max(), np.nan, x), "must be finite"),
        (KERNEL, lambda x: np.where(x == x.max(), -np.inf, x), "must be finite"),
        (KERNEL, lambda x: x.astype(np.float64) + 1e300, "must be finite"),
        (VARIANCE, lambda x: x - 2, "variances not negative"),
        (KERNEL, lambda x: x > 0, "float16, float32 or float64; .* are bool"),
        (KERNEL, lambda x: x.astype(np.int32), "float64; .* are int32"),
        (KERNEL, lambda x: x.astype(np.complex64), "float64; .* are complex64"),
    ],
    ids=["NaN", "infinity", "too large for float32", "negative variance", "booleans",
         "integers", "complex"],
)  # fmt: skip
def test_what_no_weight_can_be_is_refused_by_name(network, name, change, text):
    before = named_weights(network)
    with pytest.raises(UserError, match=f"{text}.*") as caught:
        assign_weights(network, before | {name: change(before[name])})
    assert name in str(caught.value)
    for each, value in named_weights(network).items():
        np.testing.assert_array_equal(value, before[each])


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2", "F8_E8M0"])
def test_float8_in_safetensors_is_refused_by_name(tmp_path, kind):
    header = {"main/kernel": {"dtype": kind, "shape": [4], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(UserError, match=rf"float64; main/kernel are {kind}\.$"):
        read_safetensors(path, 2**20)


def test_only_regular_files_of_limited_size_are_read(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file({"a": np.ones(4)}, path)
    assert read_safetensors(path, path.stat().st_size).keys() == {"a"}
    os.truncate(path, 2**40)  # sparse: it takes no room
    with pytest.raises(UserError, match="may have 1,048,576 bytes at most"):
        read_safetensors(path, 2**20)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(UserError, match=r"only regular files are opened; .*pipe"):
        read_safetensors(tmp_path / "pipe.safetensors", 2**20)
