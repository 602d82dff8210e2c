"""The optimizer of a run, its learning rate schedule and averaged weights."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras.optimizers import schedules

from googlenet_keras.architecture.arithmetic import macs
from googlenet_keras.architecture.channels import channel_costs
from googlenet_keras.network.layers import KERAS_PACKAGE
from googlenet_keras.training.callbacks import StatefulCallback
from googlenet_keras.training.muon import Muon
from googlenet_keras.training.options import ResolvedConfig
from googlenet_keras.training.sgd import MomentumSGD

STEP_DECAY_EPOCHS, STEP_DECAY_FACTOR = 8, 0.96  # section 6: 4 % less every 8 epochs
POLY_DECAY_POWER = 0.5  # Caffe's quick_solver.prototxt


@keras.saving.register_keras_serializable(package=KERAS_PACKAGE)
class WarmUp(schedules.LearningRateSchedule):
    """A linear warm-up from 0 over `steps` steps, then the schedule `after`."""

    def __init__(self, after: schedules.LearningRateSchedule, steps: int) -> None:
        self.after = after
        self.steps = steps

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        step = keras.ops.cast(step, "float32")
        rise = (step + 1.0) / max(self.steps, 1)
        later = self.after(keras.ops.maximum(step - self.steps, 0.0))
        return keras.ops.where(step < self.steps, rise * self.after(0), later)

    def get_config(self) -> dict[str, Any]:
        return {"after": self.after, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmUp":
        return cls(**keras.saving.deserialize_keras_object(config))


def warmup_steps(config: ResolvedConfig, steps: int) -> int:
    """The number of warm-up steps, at most a quarter of the run's."""
    return round(min(config.warmup_epochs, config.epochs / 4) * steps)


def make_optimizer(
    config: ResolvedConfig,
    steps: int,
    layer_multipliers: Mapping[str, float] | None = None,
    gamma_penalties: Mapping[str, float] | None = None,
) -> MomentumSGD:
    """Makes the optimizer of `config`.

    steps: of an epoch. layer_multipliers: of the learning rate, by layer.
    gamma_penalties: by layer, as `gamma_penalties` gives them.
    """
    warmup = warmup_steps(config, steps)
    decaying = max(config.epochs * steps - warmup, 1)
    peak = config.learning_rate
    schedule = {
        "cosine": schedules.CosineDecay(peak, decaying),
        "step": schedules.ExponentialDecay(
            peak, STEP_DECAY_EPOCHS * steps, STEP_DECAY_FACTOR, staircase=True
        ),
        "poly": schedules.PolynomialDecay(peak, decaying, 0.0, POLY_DECAY_POWER),
    }[config.schedule]
    kind: Callable[..., MomentumSGD] = MomentumSGD
    if config.optimizer == "muon":
        dtype = keras.config.dtype_policy().compute_dtype
        kind = partial(Muon, compute_dtype=dtype)
    return kind(
        WarmUp(schedule, warmup),
        momentum=config.momentum,
        nesterov=config.nesterov,
        global_clipnorm=config.clip_norm or None,
        kernel_decay=config.weight_decay,
        bias_multiplier=config.bias_learning_rate,
        layer_multipliers=layer_multipliers,
        gamma_penalties=gamma_penalties,
    )


def gamma_penalties(config: ResolvedConfig, classes: int) -> dict[str, float]:
    """The penalty of each layer's absolute gammas, by the layer's name.

    It is --gamma-penalty times the part of the network's multiply-adds that a channel
    causes (MorphNet, arXiv 1711.06798). Empty without --gamma-penalty.
    """
    if not config.gamma_penalty:
        return {}
    count = partial(macs, classes=classes, image_size=config.input_size)
    strength = config.gamma_penalty / count(config.network)
    costs = channel_costs(config.network, count)
    return {f"{name}_bn": strength * cost for name, cost in costs.items()}


def inner_optimizer(network: keras.Model) -> MomentumSGD:
    """The optimizer of a compiled network, without the loss scaling around it."""
    return getattr(network.optimizer, "inner_optimizer", network.optimizer)


class AverageWeights(StatefulCallback):
    """Keeps a moving average of every weight and validates with it (Polyak averaging).

    At step t the average moves by 1 / min(horizon, (10 + t) / 9), so the first weights
    are soon forgotten. The averages are in the network from the start of validation to
    the start of the next epoch, and after training.

    variables: the averages, in the order of the network's weights. With another network
    in a further fit they are new ones, which hold its weights until they are restored.

    Keras's use_ema leaves out batch normalization's statistics, and its momentum is a
    constant, which keeps the first weights in the average of a short run.
    """

    STATE = ("step", "swapped_in")

    def __init__(self, horizon_steps: float) -> None:
        super().__init__()
        self.horizon_steps = max(horizon_steps, 1.0)
        self.swapped_in = False
        self.variables: list[tf.Variable] = []
        self.step = 0
        self._network: keras.Model | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        if self._network is self.model:
            return  # a further fit
        self._network = self.model
        self._live = [v.value for v in self.model.weights]
        self.variables = [tf.Variable(v) for v in self._live]
        # a function that was traced before has the variables of another network
        self._update = tf.function(self._move_averages)
        self._swap = tf.function(self._exchange)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step += 1
        rate = 1.0 / min(self.horizon_steps, (10 + self.step) / 9)
        self._update(tf.constant(rate, tf.float32))

    def on_test_begin(self, logs: Any = None) -> None:
        self._put_in_network(averages=True)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._put_in_network(averages=False)

    def on_train_end(self, logs: Any = None) -> None:
        self._put_in_network(averages=True)

    def average_of(self, weight: keras.Variable) -> tf.Variable:
        """The average of one of the network's weights."""
        weights = [id(x) for x in self.model.weights]
        return self.variables[weights.index(id(weight))]

    def _put_in_network(self, averages: bool) -> None:
        if self.swapped_in is not averages:
            self._swap()
            self.swapped_in = averages

    def _move_averages(self, rate: tf.Tensor) -> None:
        for average, live in zip(self.variables, self._live, strict=True):
            average.assign_add(rate * (live - average))

    def _exchange(self) -> None:
        for average, live in zip(self.variables, self._live, strict=True):
            value = tf.identity(live)
            live.assign(tf.identity(average))
            average.assign(value)
