import numpy as np
import pytest
from making import classifier, refusing_classifier

from googlenet_keras.architecture.variants import VARIANTS
from googlenet_keras.artifacts.deployable import deployable_network


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_it_answers_as_the_main_head_with_far_fewer_layers(variant):
    made = classifier(variant, whole=variant == "bn")
    network = deployable_network(made)
    images = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3)).astype("float32")
    found = network.predict_on_batch(images)
    assert list(found) == ["probabilities"]
    np.testing.assert_allclose(
        found["probabilities"], made.probabilities(images), atol=2e-5
    )
    assert np.ptp(found["probabilities"]) > 0.01  # else anything would agree
    names = [layer.name for layer in network.layers]
    assert [x.name for x in network.inputs] == ["image"]
    assert not [n for n in names if n.endswith("_bn") or n.startswith("aux")]


@pytest.mark.slow
def test_it_gives_the_classes_alone_of_a_network_that_refuses():
    made = refusing_classifier("bn")
    images = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3)).astype("float32")
    found = deployable_network(made).predict_on_batch(images)["probabilities"]
    assert found.shape == (3, 6)
    np.testing.assert_allclose(found, made.probabilities(images), atol=2e-5)


@pytest.mark.slow
def test_response_norm_is_rewritten_unless_asked_for():
    made = classifier("paper", whole=True)
    kinds = [
        {type(layer).__name__ for layer in deployable_network(made, portable).layers}
        for portable in (True, False)
    ]
    assert "PortableResponseNormalization" in kinds[0]
    assert "LocalResponseNormalization" in kinds[1]
