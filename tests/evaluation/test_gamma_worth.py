from dataclasses import replace

import numpy as np
import pytest

from googlenet_keras.architecture.table1 import Conv
from googlenet_keras.architecture.variants import BATCH_NORM, PAPER, VARIANTS
from googlenet_keras.evaluation.gamma_worth import channel_worths, gammas

TWO = replace(BATCH_NORM, rows=(Conv("a", 2, 1), Conv("b", 2, 1)), heads=())
WEIGHTS = {
    "a/kernel": np.ones((1, 1, 3, 2)),
    "a_bn/gamma": np.array([-1.0, 2.0]),
    # channel 0 is read by the first output alone, twice as strongly as channel 1
    "b/kernel": np.array([[[[2.0, 0.0], [1.0, 1.0]]]]),
    "b_bn/gamma": np.array([3.0, 0.0]),
    "main/kernel": np.array([[1.0, 5.0], [9.0, 7.0]]),
}


def test_a_channel_is_worth_its_part_of_what_is_read():
    worths = channel_worths(WEIGHTS, TWO)
    np.testing.assert_allclose(worths["a"], [0.25, 0.75])  # (1/2, 0) and (1/2, 1)
    np.testing.assert_allclose(worths["b"], [1, 0])  # without a gamma, nothing


def test_a_factor_that_the_readers_make_up_for_changes_nothing():
    scaled = WEIGHTS | {
        "a_bn/gamma": WEIGHTS["a_bn/gamma"] * [10, 1],
        "b/kernel": WEIGHTS["b/kernel"] / np.array([10, 1])[:, None],
    }
    before, after = (channel_worths(weights, TWO) for weights in (WEIGHTS, scaled))
    np.testing.assert_allclose(after["a"], before["a"])


def test_an_output_that_reads_nothing_has_no_favorite():
    nothing = WEIGHTS | {"a_bn/gamma": np.zeros(2)}
    np.testing.assert_allclose(channel_worths(nothing, TWO)["a"], [0.5, 0.5])


def test_a_dense_layer_reads_a_channel_at_every_place():
    arch = replace(TWO, dense_units=2)
    weights = WEIGHTS | {"b_bn/gamma": np.ones(2)}
    weights["main_fc/kernel"] = np.array([[1.0, 0], [1, 1], [0, 1], [1, 1]])
    # channel 0 at places 0 and 1: 1 and 0, 0 and 1; channel 1: 1 and 1, 1 and 1
    np.testing.assert_allclose(channel_worths(weights, arch)["b"], [1 / 3, 2 / 3])


@pytest.mark.parametrize("arch", [PAPER, VARIANTS["slim"]])
def test_a_network_without_gammas_has_no_worths(arch):
    assert gammas({}, arch) == channel_worths({}, arch) == {}
