import numpy as np
import pytest
from making import classifier
from scipy.special import softmax

from googlenet_keras.artifacts.deployable import deployable_network
from googlenet_keras.network.activation_map import add_activation_map


@pytest.mark.parametrize("variant", ["bn", "paper"])
def test_a_maps_mean_is_the_logit_of_its_class(variant):
    made = classifier(variant)
    images = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype("float32")
    before = made.logits(images)
    found = add_activation_map(made.network).predict_on_batch(images)
    assert list(found) == ["main", "aux1", "aux2", "activation_map"]
    maps = found.pop("activation_map")
    assert maps.shape == (2, 2, 2, 7)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), before["main"], atol=1e-4)
    for head, logits in found.items():
        np.testing.assert_allclose(logits, before[head], atol=1e-5)


@pytest.mark.parametrize("variant", ["bn", "paper"])
def test_a_deployable_network_has_the_same_maps(variant):
    made = classifier(variant)
    images = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype("float32")
    found = add_activation_map(deployable_network(made)).predict_on_batch(images)
    assert set(found) == {"probabilities", "activation_map"}
    maps = add_activation_map(made.network).predict_on_batch(images)["activation_map"]
    np.testing.assert_allclose(found["activation_map"], maps, atol=1e-3)
    probabilities = softmax(maps.mean(axis=(1, 2)), axis=1)
    np.testing.assert_allclose(found["probabilities"], probabilities, atol=1e-4)
