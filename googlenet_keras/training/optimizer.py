"""Learning rates over the steps of a run, and the optimiser that uses them."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras.optimizers import schedules

from googlenet_keras.network.layers import KERAS_PACKAGE
from googlenet_keras.network.weights import weight_name
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.transfer import of_trunk

STEP_DECAY_EPOCHS, STEP_DECAY_FACTOR = 8, 0.96  # section 6: 4 % less every 8 epochs
POLY_DECAY_POWER = 0.5  # Caffe's quick_solver.prototxt


@keras.saving.register_keras_serializable(package=KERAS_PACKAGE)
class WarmUp(schedules.LearningRateSchedule):
    """A linear rise from 0 over `steps` steps, then `after` from its first step."""

    def __init__(self, after: schedules.LearningRateSchedule, steps: int) -> None:
        self.after = after
        self.steps = steps

    def __call__(self, step):
        """The rate at `step`, a scalar."""
        step = keras.ops.cast(step, "float32")
        rise = (step + 1.0) / max(self.steps, 1)
        later = self.after(keras.ops.maximum(step - self.steps, 0.0))
        return keras.ops.where(step < self.steps, rise * self.after(0), later)

    def get_config(self) -> dict:
        """What `from_config` needs."""
        after = keras.saving.serialize_keras_object(self.after)
        return {"after": after, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict) -> WarmUp:
        """The schedule that `get_config` described."""
        return cls(
            keras.saving.deserialize_keras_object(config["after"]), config["steps"]
        )


def learning_rate_schedule(
    config: TrainConfig, steps: int
) -> schedules.LearningRateSchedule:
    """The schedule that `config` asks for; steps: in one epoch."""
    warmup = warmup_steps(config, steps)
    decaying = max(config.epochs * steps - warmup, 1)
    peak = config.learning_rate
    after = {
        "cosine": lambda: schedules.CosineDecay(peak, decaying),
        "step": lambda: schedules.ExponentialDecay(
            peak, STEP_DECAY_EPOCHS * steps, STEP_DECAY_FACTOR, staircase=True
        ),
        "poly": lambda: schedules.PolynomialDecay(
            peak, decaying, 0.0, POLY_DECAY_POWER
        ),
    }[config.schedule]()
    return WarmUp(after, warmup)


def warmup_steps(config: TrainConfig, steps: int) -> int:
    """Steps of warm-up: a short run spends at most a quarter of its steps on it."""
    return round(min(config.warmup_epochs, config.epochs / 4) * steps)


@keras.saving.register_keras_serializable(package=KERAS_PACKAGE)
class MomentumSGD(keras.optimizers.SGD):
    """SGD with momentum as Caffe defines it.

    `decay` times the weight is added to the gradient of kernels, before momentum;
    Keras's weight_decay comes after it and acts on every variable. Biases, betas and
    gammas are not decayed. Biases learn at `bias_rate` times the rate (lr_mult), and
    what belongs to no head at `trunk_rate` times.
    `rate_factor` is a variable that scales what the schedule says, 1 unless assigned.
    The gradient is clipped when the replicas' parts are summed; Keras clips each part.
    """

    def __init__(
        self,
        *args,
        decay: float = 0.0,
        bias_rate: float = 1.0,
        trunk_rate: float = 1.0,
        **kw,
    ) -> None:
        super().__init__(*args, **kw)
        self.decay = decay
        self.bias_rate = bias_rate
        self.trunk_rate = trunk_rate
        self.rate_factor = self.add_variable((), "ones", name="rate_factor")

    def _get_current_learning_rate(self):
        return super()._get_current_learning_rate() * self.rate_factor

    def _clip_gradients(self, grads):
        return grads

    def _all_reduce_sum_gradients(self, grads_and_vars):
        summed, variables = zip(
            *super()._all_reduce_sum_gradients(grads_and_vars), strict=True
        )
        return list(zip(super()._clip_gradients(summed), variables, strict=True))

    def update_step(self, gradient, variable, learning_rate) -> None:
        """One variable's step."""
        # TensorFlow hands over its own variable, whose name is a mangled one
        known = self._trainable_variables[self._get_variable_index(variable)]
        layer, name = ["", *weight_name(known).split("/")][-2:]
        if name == "kernel" and self.decay:
            value = keras.ops.cast(variable, gradient.dtype)
            gradient = gradient + self.decay * value
        if name == "bias" and self.bias_rate != 1.0:
            learning_rate = learning_rate * self.bias_rate
        if self.trunk_rate != 1.0 and of_trunk(layer):
            learning_rate = learning_rate * self.trunk_rate
        self._momentum_step(gradient, variable, learning_rate)

    def _momentum_step(self, gradient, variable, learning_rate) -> None:
        """What SGD.update_step does, in one pass over memory in place of six."""
        if not self.momentum:
            return super().update_step(gradient, variable, learning_rate)
        accumulator = self.momentums[self._get_variable_index(variable)].value
        if isinstance(variable, keras.Variable):
            variable = variable.value
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=accumulator.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=tf.constant(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )
        return None

    def get_config(self) -> dict:
        """What `from_config` needs."""
        own = {
            "decay": self.decay,
            "bias_rate": self.bias_rate,
            "trunk_rate": self.trunk_rate,
        }
        return super().get_config() | own


def make_optimizer(config: TrainConfig, steps: int) -> MomentumSGD:
    """The optimiser that `config` asks for; steps: in one epoch."""
    return MomentumSGD(
        learning_rate_schedule(config, steps),
        momentum=config.momentum,
        nesterov=config.nesterov,
        global_clipnorm=config.clip_norm or None,
        decay=config.weight_decay,
        bias_rate=config.bias_learning_rate,
        trunk_rate=config.trunk_learning_rate,
    )
