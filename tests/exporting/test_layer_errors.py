import json

import numpy as np
import pytest
from making import classifier

from googlenet_keras.exporting.converters import (
    Source,
    StaticModel,
    load_source,
    save_static,
    to_int8,
)
from googlenet_keras.exporting.layer_errors import worst_layers

BAD = "conv1_7x7_s2"
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A saved network with a channel in one layer that is far above the others."""
    folder = tmp_path_factory.mktemp("layers")
    made = classifier("bn")
    beta = made.network.get_layer(f"{BAD}_bn").beta
    beta.assign(np.concatenate([[1000], np.asarray(beta)[1:]]))
    made.save(folder / "classifier")
    np.save(folder / "calibration.npy", IMAGES)
    return Source(folder / "classifier", folder)


@pytest.mark.slow
def test_the_layer_that_int8_ruins_is_named_first(source, tmp_path):
    _, network = load_source(source)
    save_static(network, tmp_path / "static")
    path = tmp_path / "int8.tflite"
    path.write_bytes(to_int8(StaticModel(tmp_path / "static", IMAGES)))
    found = worst_layers(source, path)
    first, second, *_ = found.items()
    assert first[0] == BAD, found
    assert first[1] > 0.5
    assert second[1] < 0.5 * first[1]
    assert len(found) == 5
    json.dumps(found)
    assert {*found} <= {layer.name for layer in network.layers}
