import numpy as np
import pytest
from making import classifier

from googlenet_keras.artifacts.deployable import deployable
from googlenet_keras.exporting.to_saved_model import to_static
from googlenet_keras.exporting.to_tflite import to_tflite
from googlenet_keras.network.activation_map import add_activation_map
from googlenet_keras.webpage.activation_output import (
    steps,
    steps_apart,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """int8 files without and with maps, and images."""
    folder = tmp_path_factory.mktemp("files")
    network = deployable(classifier("bn"))
    images = np.random.default_rng(2).integers(0, 256, (8, 64, 64, 3), np.uint8)
    for name, made in (("plain", network), ("maps", add_activation_map(network))):
        to_static(made, folder / name)
        data = to_tflite(folder / name, "int8", images, [])
        (folder / f"{name}.tflite").write_bytes(data)
    return folder / "plain.tflite", folder / "maps.tflite", images.astype("float32")


def test_a_file_with_maps_gives_the_same_probabilities(files):
    plain, maps, images = files
    assert steps_apart(maps, plain, images) <= 1
    assert steps_apart(maps, plain, [255 - images[0], images[1] * 0]) <= 2


def test_the_steps_of_every_tensor(files):
    plain, maps, _ = files
    assert set(steps(plain)) == {"image", "probabilities"}
    found = steps(maps)
    assert set(found) == {"image", "probabilities", "activation_map"}
    assert found["probabilities"] == {"scale": 1 / 256, "zero": 0}
    assert found["activation_map"]["scale"] > 0
