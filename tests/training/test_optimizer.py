from functools import partial

import keras
import numpy as np
import pytest

from googlenet_keras.architecture.arithmetic import macs
from googlenet_keras.architecture.channels import channel_costs
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.errors import UserError
from googlenet_keras.network.layers import FusedBatchNormalization
from googlenet_keras.training.optimizer import gamma_penalties, make_optimizer
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.sgd import MomentumSGD


def rates(steps=10, **options):
    config = TrainConfig(learning_rate=0.1, **options)
    made = make_optimizer(config, steps)._learning_rate
    return [float(made(i)) for i in range(config.epochs * steps)]


def test_warm_up_rises_to_the_peak_and_cosine_falls_to_0():
    found = rates(epochs=5, warmup_epochs=1.0)
    np.testing.assert_allclose(found[:10], np.arange(1, 11) / 100, rtol=1e-5)
    assert found[10] == pytest.approx(0.1)
    assert found[30] == pytest.approx(0.05)  # half-way down the cosine
    assert found[-1] == pytest.approx(0.0, abs=2e-4)


def test_a_short_run_warms_up_for_a_quarter_of_it():
    found = rates(epochs=2, warmup_epochs=2.0)
    assert found[4] == pytest.approx(0.1)
    assert found[5] == pytest.approx(0.1)
    assert found[-1] < 0.01


def test_the_papers_rate_falls_4_percent_every_8_epochs():
    found = rates(epochs=17, schedule="step", warmup_epochs=0.0)
    assert found[0] == found[79] == pytest.approx(0.1)
    assert found[80] == pytest.approx(0.096)
    assert found[160] == pytest.approx(0.1 * 0.96**2)


def test_caffes_poly_rate():
    found = rates(epochs=10, schedule="poly", warmup_epochs=0.0)
    assert found[75] == pytest.approx(0.1 * (1 - 0.75) ** 0.5)


def test_the_schedule_travels_with_the_optimizer():
    config = TrainConfig(epochs=3, learning_rate=0.1, weight_decay=5e-4)
    made = make_optimizer(config, steps=10)
    copy = MomentumSGD.from_config(made.get_config())
    for step in (0, 5, 25):
        assert float(copy._learning_rate(step)) == float(made._learning_rate(step))
    assert copy.kernel_decay == 5e-4


def test_a_layer_learns_at_its_own_rate():
    names = ("conv1", "main")
    weights = [keras.layers.Dense(1, name=name, use_bias=False) for name in names]
    for layer in weights:
        layer.build((None, 1))
        layer.set_weights([np.ones((1, 1))])
    kernels = [layer.kernel for layer in weights]
    sgd = MomentumSGD(0.1, momentum=0.9, layer_multipliers={"conv1": 0.25})
    sgd.build(kernels)
    sgd.apply([keras.ops.full((1, 1), 0.5)] * 2)
    found = [float(kernel[0, 0]) for kernel in kernels]
    assert found == pytest.approx([1 - 0.1 * 0.25 * 0.5, 1 - 0.1 * 0.5])
    copy = MomentumSGD.from_config(sgd.get_config())
    assert copy.layer_multipliers == {"conv1": 0.25}


def variable(name, value=1.0):
    return keras.Variable([value], name=name)


def after(steps, name, **options):
    """What `steps` steps with gradient 0.5 make of a variable that starts at 1."""
    weight = variable(name)
    sgd = MomentumSGD(0.1, momentum=0.9, **options)
    sgd.build([weight])
    for _ in range(steps):
        sgd.apply([keras.ops.convert_to_tensor([0.5])])
    return float(weight[0])


def test_decay_enters_before_momentum():
    # step 1: v = -0.1 (0.5 + 0.2 * 1) = -0.07, w = 0.93
    # step 2: v = 0.9 * -0.07 - 0.1 (0.5 + 0.2 * 0.93) = -0.1316, w = 0.7984
    assert after(1, "kernel", kernel_decay=0.2) == pytest.approx(0.93)
    assert after(2, "kernel", kernel_decay=0.2) == pytest.approx(0.7984)


def test_biases_are_not_decayed_and_learn_at_their_own_rate():
    assert after(1, "bias", kernel_decay=0.2) == pytest.approx(0.95)
    assert after(1, "bias", kernel_decay=0.2, bias_multiplier=2.0) == pytest.approx(
        0.90
    )
    assert after(1, "gamma", kernel_decay=0.2, bias_multiplier=2.0) == pytest.approx(
        0.95
    )


def penalized(penalty, variant="bn"):
    config = TrainConfig(variant=variant, gamma_penalty=penalty, image_size=96)
    return gamma_penalties(config.resolve("photos"), classes=10)


def test_a_gamma_is_penalized_by_what_its_channel_costs():
    assert penalized(0.0) == {}
    found = penalized(2.0)
    count = partial(macs, "bn", classes=10, image_size=96)
    costs = channel_costs(BATCH_NORM, lambda x: macs(x, classes=10, image_size=96))
    assert len(found) == len(costs) == 57
    name = "inception_5b_1x1"
    assert found[f"{name}_bn"] == pytest.approx(2 * costs[name] / count())
    with pytest.raises(UserError, match="needs batch normalization with gammas, which"):
        penalized(2.0, "slim")


def test_a_penalty_draws_gammas_towards_0_and_leaves_the_rest():
    norm = FusedBatchNormalization(name="conv_bn")
    norm.build((None, 1, 1, 2))
    norm.gamma.assign([1.0, -1.0])
    weights = [norm.gamma, norm.beta]
    sgd = MomentumSGD(0.5, momentum=0.9, gamma_penalties={"conv_bn": 0.1})
    sgd.build(weights)
    sgd.apply([keras.ops.zeros(2)] * 2)
    np.testing.assert_allclose(norm.gamma, [0.95, -0.95], rtol=1e-6)
    np.testing.assert_array_equal(norm.beta, 0)
    copy = MomentumSGD.from_config(sgd.get_config())
    assert copy.gamma_penalties == {"conv_bn": 0.1}
