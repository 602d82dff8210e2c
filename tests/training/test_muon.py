"""Muon's steps, beside the singular value decomposition that they approximate."""

import keras
import numpy as np
import pytest

from googlenet_keras.training.muon import Muon, orthogonalize
from googlenet_keras.training.optimizer import make_optimizer
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.precision import precision_policy
from googlenet_keras.training.sgd import MomentumSGD

SHAPES = [(3, 3, 8, 16), (1, 1, 32, 16), (1, 1, 8, 32)]  # tall, tall, wide


def random_kernel(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def matrix(kernel):
    return np.reshape(kernel, [-1, np.shape(kernel)[-1]])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("dtype", "least", "most"),
    [("float32", 0.65, 1.25), ("bfloat16", 0.6, 1.3), ("float16", 0.65, 1.25)],
)
def test_singular_values_become_nearly_equal(shape, dtype, least, most):
    kernel = random_kernel(shape)
    u, values, v = np.linalg.svd(matrix(kernel), full_matrices=False)
    kernel = np.reshape(u * np.geomspace(1, 0.05, len(values)) @ v, shape)
    found = matrix(orthogonalize(kernel.astype(np.float32), dtype))
    scale = max(1, shape[-1] / len(found)) ** 0.5
    values = np.linalg.svd(found / scale, compute_uv=False)
    assert least < values.min()
    assert values.max() < most
    # the directions stay
    inner = np.sum(found / scale * (u @ v)) / len(values)
    assert 0.8 < inner < 1.2


def test_the_size_of_a_gradient_does_not_matter():
    kernel = random_kernel(SHAPES[0])
    large, small = (orthogonalize(kernel * factor) for factor in (1e4, 1e-3))
    np.testing.assert_allclose(large, small, atol=1e-3)


def test_without_a_gradient_nothing_moves():
    assert not np.any(orthogonalize(np.zeros(SHAPES[0], np.float32)))


def stepped(optimizer, shape, steps=2):
    """What `steps` steps with random gradients make of a kernel of zeros."""
    kernel = keras.Variable(np.zeros(shape, np.float32), name="kernel")
    optimizer.build([kernel])
    for seed in range(steps):
        optimizer.apply([keras.ops.convert_to_tensor(random_kernel(shape, seed))])
    return kernel.numpy()


def test_a_step_follows_nesterovs_momentum():
    shape = SHAPES[1]
    first, second = random_kernel(shape, 0), random_kernel(shape, 1)
    steps = first * 1.9, 0.9 * (0.9 * first + second) + second
    expected = -0.1 * sum(np.array(orthogonalize(step)) for step in steps)
    found = stepped(Muon(0.1, momentum=0.9, nesterov=True), shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_decay_shrinks_a_kernel_as_much_as_with_sgd():
    options = {"momentum": 0.9, "kernel_decay": 0.02}
    found = []
    for kind in (Muon, MomentumSGD):
        kernel = keras.Variable(np.ones(SHAPES[0], np.float32), name="kernel")
        optimizer = kind(0.01, **options)
        optimizer.build([kernel])
        for _ in range(300):
            optimizer.apply([keras.ops.zeros(SHAPES[0])])
        found.append(float(kernel[0, 0, 0, 0]))
    assert found[0] == pytest.approx((1 - 0.01 * 0.2) ** 300)
    assert found[0] == pytest.approx(found[1], rel=0.05)


@pytest.mark.parametrize("shape", [(8, 4), (8,)])
def test_other_weights_step_as_without_it(shape):
    options = {"momentum": 0.9, "nesterov": True, "kernel_decay": 0.1}
    found = [stepped(kind(0.1, **options), shape) for kind in (Muon, MomentumSGD)]
    np.testing.assert_array_equal(*found)
    assert np.any(found[0])


def test_it_travels_with_its_dtype():
    config = TrainConfig(optimizer="muon", epochs=3)
    with precision_policy("mixed_bfloat16"):
        made = make_optimizer(config.resolve("photos"), steps=10)
    copy = Muon.from_config(made.get_config())
    assert copy.compute_dtype == "bfloat16"
    assert copy.kernel_decay == made.kernel_decay > 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "muon"),
        ({"variant": "slim"}, "muon"),
        ({"variant": "paper"}, "sgd"),
        ({"weights": "torchvision"}, "sgd"),
        ({"optimizer": "sgd"}, "sgd"),
        ({"variant": "paper", "optimizer": "muon"}, "muon"),
    ],
)
def test_networks_with_batch_normalization_have_it_from_scratch(options, expected):
    photos, digits = (TrainConfig(**options).resolve(x) for x in ("photos", "digits"))
    assert photos.optimizer == digits.optimizer == expected
    assert photos.epochs == {"muon": 24, "sgd": 35}[expected]
    assert digits.epochs == 12


def test_an_older_run_without_the_option_has_sgd():
    options = TrainConfig().to_json()
    del options["optimizer"]
    assert TrainConfig.from_json(options).resolve("photos").optimizer == "sgd"
