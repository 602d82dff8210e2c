import numpy as np
import pytest

from googlenet_keras.training.head_resizing import resize_momentum, resize_weights


def kernel(*cells):
    """A float32 kernel of one unit, from the weights of each cell's channels."""
    return np.array(cells, np.float32).reshape(-1, 1)


def test_from_one_cell_to_four_each_gets_a_quarter():
    assert resize_weights(kernel([4, 8]), rows=8, channels=2).tolist() == (
        [[1], [2]] * 4
    )
    assert resize_momentum(kernel([4, 8]), rows=8, channels=2).tolist() == (
        [[4], [8]] * 4
    )


def test_from_four_cells_to_one_it_gets_their_sum_and_the_mean_momentum():
    four = kernel([1, 10], [2, 20], [3, 30], [6, 60])
    assert resize_weights(four, rows=2, channels=2).tolist() == [[12], [120]]
    assert resize_momentum(four, rows=2, channels=2).tolist() == [[3], [30]]


@pytest.mark.parametrize("cells", [1, 4, 6, 16])
def test_a_constant_map_gets_the_same_answer(cells):
    random = np.random.default_rng(0)
    channels, units = 3, 5
    old = random.normal(size=(4 * channels, units))
    x = random.normal(size=channels)
    new = resize_weights(old, cells * channels, channels)
    assert new.dtype == old.dtype
    np.testing.assert_allclose(np.tile(x, cells) @ new, np.tile(x, 4) @ old)


@pytest.mark.parametrize("cells", [1, 4, 6, 16])
def test_momentum_is_the_one_that_the_larger_map_would_have_gathered(cells):
    """The sum of the gradients of both layers for the same answers' gradients."""
    random = np.random.default_rng(1)
    channels, units = 3, 5
    momentum = {n: np.zeros((n * channels, units)) for n in (4, cells)}
    for _ in range(3):
        x, gradient = random.normal(size=channels), random.normal(size=units)
        for n, sum_ in momentum.items():
            sum_ *= 0.9
            sum_ -= 0.1 * np.outer(np.tile(x, n), gradient)
    resized = resize_momentum(momentum[4], cells * channels, channels)
    np.testing.assert_allclose(resized, momentum[cells])


def test_a_map_of_the_same_size_keeps_its_kernel_exactly():
    old = np.random.default_rng(2).normal(size=(12, 5)).astype(np.float32)
    np.testing.assert_array_equal(resize_weights(old, 12, 3), old)
    np.testing.assert_array_equal(resize_momentum(old, 12, 3), old)
