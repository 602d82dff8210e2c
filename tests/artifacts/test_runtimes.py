"""A TFLite file whose network has a second output, beside the one without it."""

import numpy as np
import pytest
from making import classifier

from googlenet_keras.artifacts.deployable import deployable_network
from googlenet_keras.artifacts.runtimes import LiteRT
from googlenet_keras.artifacts.tflite_schema import name_tensors
from googlenet_keras.exporting.converters import StaticModel, save_static, to_int8
from googlenet_keras.network.build import add_activation_map
from googlenet_keras.webpage.page import max_difference_in_int8_steps


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """int8 files without and with maps, and images."""
    folder = tmp_path_factory.mktemp("files")
    network = deployable_network(classifier("bn"))
    images = np.random.default_rng(2).integers(0, 256, (8, 64, 64, 3), np.uint8)
    for name, made in (("plain", network), ("maps", add_activation_map(network))):
        save_static(made, folder / name)
        data = to_int8(StaticModel(folder / name, images))
        (folder / f"{name}.tflite").write_bytes(data)
    return folder / "plain.tflite", folder / "maps.tflite", images.astype("float32")


@pytest.mark.slow
def test_a_file_with_maps_gives_the_same_probabilities(files):
    plain, maps, images = files
    assert max_difference_in_int8_steps(maps, plain, images) <= 1
    assert (
        max_difference_in_int8_steps(maps, plain, [255 - images[0], images[1] * 0]) <= 2
    )


@pytest.mark.slow
def test_the_quantization_of_every_tensor(files):
    plain, maps, _ = (LiteRT(path, threads=1) for path in (*files[:2], files[0]))
    assert set(plain.quantization()) == {"image", "probabilities"}
    found = maps.quantization()
    assert set(found) == {"image", "probabilities", "activation_map"}
    assert found["probabilities"] == (1 / 256, 0)
    assert found["activation_map"][0] > 0


@pytest.mark.slow
def test_tensors_are_named_as_the_signature_names_them(files, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    _, maps, images = files
    named = tmp_path / "named.tflite"
    named.write_bytes(name_tensors(maps.read_bytes()))
    interpreter = Interpreter(str(named))
    assert [x["name"] for x in interpreter.get_input_details()] == ["image"]
    outputs = {x["name"] for x in interpreter.get_output_details()}
    assert outputs == {"probabilities", "activation_map"}
    before, after = (LiteRT(path, threads=1)(images) for path in (maps, named))
    np.testing.assert_array_equal(before, after)
