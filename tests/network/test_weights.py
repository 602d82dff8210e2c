import keras
import numpy as np
import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import assign_weights, named_weights


def tiny(seed):
    keras.utils.set_random_seed(seed)
    return build_network(image_size=32, classes=2, width=0.125)


@pytest.mark.slow
def test_weights_are_assigned_by_name():
    one, other = tiny(1), tiny(2)
    assign_weights(other, dict(reversed(named_weights(one).items())))
    image = np.full((1, 32, 32, 3), 200, "uint8")
    np.testing.assert_array_equal(one(image)["aux2"], other(image)["aux2"])


def test_mismatched_weights_are_named_and_nothing_is_assigned():
    network = tiny(1)
    before = named_weights(network)
    weights = {k: v + 1 for k, v in before.items()}
    del weights["main/bias"]
    weights["fc/bias"] = np.zeros(2)
    weights["main/kernel"] = np.zeros((3, 3))
    with pytest.raises(UserError) as error:
        assign_weights(network, weights)
    assert "missing: main/bias;" in str(error.value)
    assert "left over: fc/bias;" in str(error.value)
    assert "main/kernel is (3, 3), not (128, 2)" in str(error.value)
    for name, value in named_weights(network).items():
        np.testing.assert_array_equal(value, before[name])
