"""SGD with momentum, with what Caffe's has and Keras's lacks."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from googlenet_keras.network.layers import KERAS_PACKAGE
from googlenet_keras.network.weights import weight_name


@keras.saving.register_keras_serializable(package=KERAS_PACKAGE)
class MomentumSGD(keras.optimizers.SGD):
    """SGD with Caffe's weight decay and learning rate multipliers, which Keras lacks.

    kernel_decay: times the kernel, is added to its gradient, so momentum accumulates it
    (Keras's weight_decay bypasses momentum). gamma_penalties: times the sign of a
    layer's gammas, by its name, are added to theirs. bias_multiplier: of the learning
    rate of biases (Caffe's lr_mult). layer_multipliers: of the learning rate of a
    layer's variables, by its name; 1 for one that is not named. The variable
    `rate_factor`, 1 unless assigned, multiplies the schedule. Gradients are clipped
    after the replicas' are summed; Keras clips each replica's.
    """

    def __init__(
        self,
        *args: Any,
        kernel_decay: float = 0.0,
        bias_multiplier: float = 1.0,
        layer_multipliers: Mapping[str, float] | None = None,
        gamma_penalties: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.kernel_decay = kernel_decay
        self.bias_multiplier = bias_multiplier
        self.layer_multipliers = dict(layer_multipliers or {})
        self.gamma_penalties = dict(gamma_penalties or {})
        self.rate_factor = self.add_variable((), "ones", name="rate_factor")

    def skip(self, steps: int) -> None:
        """Moves on by `steps` steps in the learning rate schedule."""
        self.iterations.assign_add(steps)

    def _get_current_learning_rate(self) -> tf.Tensor:
        return super()._get_current_learning_rate() * self.rate_factor

    def _clip_gradients(self, grads: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        return grads  # `_all_reduce_sum_gradients` clips their sum

    def _all_reduce_sum_gradients(
        self, grads_and_vars: Sequence[tuple[tf.Tensor, keras.Variable]]
    ) -> list[tuple[tf.Tensor, keras.Variable]]:
        pairs = super()._all_reduce_sum_gradients(grads_and_vars)
        summed, variables = zip(*pairs, strict=True)
        return list(zip(super()._clip_gradients(summed), variables, strict=True))

    def update_step(
        self,
        gradient: tf.Tensor,
        variable: keras.Variable | tf.Variable,
        learning_rate: tf.Tensor,
    ) -> None:
        # tf.distribute passes TensorFlow's own variable, whose name is mangled
        index = self._get_variable_index(variable)
        layer, _, name = weight_name(self._trainable_variables[index]).rpartition("/")
        if name == "gamma" and layer in self.gamma_penalties:
            value = keras.ops.cast(variable, gradient.dtype)
            gradient += self.gamma_penalties[layer] * keras.ops.sign(value)
        if name == "bias" and self.bias_multiplier != 1.0:
            learning_rate = learning_rate * self.bias_multiplier
        if layer in self.layer_multipliers:
            learning_rate = learning_rate * self.layer_multipliers[layer]
        if isinstance(variable, keras.Variable):
            variable = variable.value
        gradient = tf.cast(gradient, variable.dtype)
        learning_rate = tf.cast(learning_rate, variable.dtype)
        decay = self.kernel_decay if name == "kernel" else 0.0
        self.step(index, variable, gradient, learning_rate, decay)

    def step(
        self,
        index: int,
        variable: tf.Variable,
        gradient: tf.Tensor,
        learning_rate: tf.Tensor,
        decay: float,
    ) -> None:
        """Moves the trainable variable `index` against its gradient, and decays it."""
        if decay:
            gradient += decay * variable
        if not self.momentum:
            variable.assign_sub(learning_rate * gradient)
            return
        # SGD.update_step in one pass over memory instead of six
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[index].value.handle,
            lr=learning_rate,
            grad=gradient,
            momentum=tf.constant(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )

    def momentum_of(self, weight: keras.Variable) -> keras.Variable:
        """The momentum of one of the trainable weights."""
        return self.momentums[self._get_variable_index(weight)]

    def get_config(self) -> dict[str, Any]:
        own = (
            "kernel_decay",
            "bias_multiplier",
            "layer_multipliers",
            "gamma_penalties",
        )
        return super().get_config() | {name: getattr(self, name) for name in own}
