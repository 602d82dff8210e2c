"""Muon: momentum whose steps of convolution kernels are orthogonal matrices."""

import math
from typing import Any

import keras
import tensorflow as tf

from googlenet_keras.network.layers import KERAS_PACKAGE
from googlenet_keras.training.sgd import MomentumSGD

# of the polynomial a x + b x^3 + c x^5 that moves singular values to about 1
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
KERNEL_RANK = 4  # of a convolution's kernel


@keras.saving.register_keras_serializable(package=KERAS_PACKAGE)
class Muon(MomentumSGD):
    """MomentumSGD that learns rare directions as fast as frequent ones.

    The momentum of a convolution's kernel has a few large singular values, whose
    directions SGD learns first. Here the step is the momentum with all of them made
    nearly equal. All other weights, such as dense kernels, gammas and biases, step as
    MomentumSGD's. Source: https://kellerjordan.github.io/posts/muon/. Keras's own Muon
    leaves the kernels of convolutions to AdamW.

    compute_dtype: of the products of matrices.
    """

    def __init__(self, *args: Any, compute_dtype: str = "float32", **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.compute_dtype = compute_dtype

    def step(
        self,
        index: int,
        variable: tf.Variable,
        gradient: tf.Tensor,
        learning_rate: tf.Tensor,
        decay: float,
    ) -> None:
        if len(variable.shape) != KERNEL_RANK:
            super().step(index, variable, gradient, learning_rate, decay)
            return
        gathered = self.momentum * self.momentums[index].value + gradient
        self.momentums[index].value.assign(gathered)
        if self.nesterov:
            gathered = self.momentum * gathered + gradient
        direction = orthogonalize(gathered, self.compute_dtype)
        decay /= 1 - self.momentum  # as much as SGD's, which momentum adds up
        variable.assign_sub(learning_rate * (direction + decay * variable))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"compute_dtype": self.compute_dtype}


def orthogonalize(kernel: tf.Tensor, compute_dtype: str = "float32") -> tf.Tensor:
    """The matrix of a kernel with singular values between about 0.7 and 1.2.

    kernel: [height, width, channels, filters]; its matrix has a column for each filter.
    With more filters than a filter has weights, the result is larger by the root of
    that ratio, so that each weight's step is as large. Five Newton-Schulz iterations.
    """
    filters = kernel.shape[-1]
    weights = math.prod(kernel.shape[:-1])
    is_tall = weights > filters
    matrix = tf.reshape(kernel, [weights, filters])
    matrix = tf.cast(matrix / (tf.norm(matrix) + keras.config.epsilon()), compute_dtype)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        # of the shorter side, so that only products pass over the whole matrix
        square = tf.matmul(matrix, matrix, transpose_a=is_tall, transpose_b=not is_tall)
        factor = b * square + c * tf.matmul(square, square)
        factor = tf.linalg.set_diag(factor, tf.linalg.diag_part(factor) + a)
        matrix = tf.matmul(matrix, factor) if is_tall else tf.matmul(factor, matrix)
    scale = max(1.0, filters / weights) ** 0.5
    return scale * tf.cast(tf.reshape(matrix, kernel.shape), kernel.dtype)
