from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras.architecture.table1 import MaxPool
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.artifacts.artifact import Artifact
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.plots import Explainer, activation_maps
from googlenet_keras.network.build import build_network
from googlenet_keras.predictor import predict

SIDE, OBJECT = 128, 40  # pixels; 4 x 4 places


def with_object(kind: int, row: int, column: int) -> np.ndarray:
    """Noise with a square, blue or red, its corner there."""
    noise = np.random.default_rng(row * SIDE + column)
    image = noise.integers(64, 192, (SIDE, SIDE, 3), np.uint8)
    color = [(0, 0, 255), (255, 0, 0)][kind]
    image[row : row + OBJECT, column : column + OBJECT] = color
    return image


def one_module_between_pools():
    """The paper's network with three of its nine modules, one after each pool."""
    whole = get_architecture("paper").scale_width(0.25)
    modules = ("inception_3a", "inception_4a", "inception_5b")
    kept = [
        row
        for row in whole.rows
        if isinstance(row, MaxPool) or row.name in ("conv1_7x7_s2", *modules)
    ]
    return replace(whole, rows=tuple(kept), heads=())


@pytest.fixture(scope="module")
def classifier():
    """A small network that has learnt to tell blue from red squares anywhere."""
    keras.utils.set_random_seed(0)
    arch = one_module_between_pools()
    network = build_network(arch, classes=2, image_size=SIDE)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-3), {"main": loss})
    draw = np.random.default_rng(0).integers
    for _ in range(40):
        kinds, corners = draw(0, 2, 16), draw(0, SIDE - OBJECT, (16, 2))
        images = [with_object(k, *c) for k, c in zip(kinds, corners, strict=True)]
        network.train_on_batch(np.stack(images), {"main": kinds})
    return Classifier(network, arch, Preprocessing(SIDE, SIDE, 1.0), ("blue", "$red$"))


@pytest.fixture(scope="module")
def to_maps(classifier):
    return activation_maps(classifier)


@pytest.mark.slow
def test_a_maps_mean_is_the_logit(classifier, to_maps):
    images = np.stack([with_object(0, 0, 0), with_object(1, 60, 80)])
    maps = to_maps(images)
    assert maps.shape == (2, 4, 4, 2)
    logits = classifier.logits(images)["main"]
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), logits, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("row", [0, 44, 88])
@pytest.mark.parametrize("column", [0, 44, 88])
def test_the_map_moves_with_the_object(to_maps, kind, row, column):
    (maps,) = to_maps(with_object(kind, row, column)[None])
    evidence = maps[..., kind] - maps[..., 1 - kind]
    place = np.unravel_index(evidence.argmax(), evidence.shape)
    middle = (np.array([row, column]) + OBJECT / 2) / 32 - 0.5  # in places
    assert np.abs(place - middle).max() < 1


@pytest.mark.slow
def test_pictures_of_photos(classifier, tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "photo '$1$'.png"
        path.write_bytes(tf.io.encode_png(with_object(1, 0, 0)).numpy())
    (tmp_path / "x" / "note.txt").write_text("no image")
    explainer = Explainer(classifier, tmp_path / "made")
    found = predict(classifier, [tmp_path / "x", tmp_path / "y"])
    pictures = [explainer(prediction) for prediction in found if prediction.top]
    names = [path.name for path in pictures]
    assert names == ["photo '$1$'.png", "photo '$1$'-2.png"]
    picture = tf.io.decode_png(pictures[0].read_bytes()).numpy()
    assert picture.shape[:2] == (330, 900)
    assert len(np.unique(picture[..., 0])) > 50


@pytest.mark.slow
def test_an_exported_file_has_no_maps(bundle, tmp_path):
    with pytest.raises(UserError, match="name the run that it was exported from"):
        activation_maps(Artifact.load(bundle / "float32.tflite"))


@pytest.mark.slow
def test_a_folder_that_cannot_be_made(classifier, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--explain needs a folder"):
        Explainer(classifier, tmp_path / "file")
