"""Local response normalization: TensorFlow's own, and one for phones."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.network.layers import KERAS_PACKAGE, Shape

BAND_CHANNELS = 48  # channels of a banded product; 192 at once take 2.3 times as long


@keras.saving.register_keras_serializable(package=KERAS_PACKAGE)
class LocalResponseNormalization(keras.layers.Layer):
    """x / (k + alpha / size * sum of x^2 over `size` neighboring channels) ^ beta.

    [batch, height, width, channels] to the same. The arguments are Caffe's, which
    divides alpha by the window; TensorFlow does not, so it is given alpha / size. It
    computes in float32 under every precision: TensorFlow has no bfloat16 kernel, and on
    GPUs float32 only. Source: bvlc_googlenet's lrn_param.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        normalized = tf.nn.local_response_normalization(
            tf.cast(inputs, "float32"),
            depth_radius=self.size // 2,
            bias=self.k,
            alpha=self.alpha / self.size,
            beta=self.beta,
        )
        return tf.cast(normalized, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        return super().get_config() | own


@keras.saving.register_keras_serializable(package=KERAS_PACKAGE)
class PortableResponseNormalization(LocalResponseNormalization):
    """Local response normalization from operations that GPU delegates support.

    The sum over neighbors is a 1x1 convolution of the squares with a banded kernel, in
    parts, since most of a whole band is zeros; s^-0.75 is 1 / sqrt(s * sqrt(s)). Raises
    ValueError for any other beta.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.beta != 0.75:
            raise ValueError(f"beta must be 0.75; received {self.beta}.")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = tf.cast(inputs, "float32")
        # scaled before they are squared: GPU delegates compute in float16
        s = self._sums(tf.square(x * np.float32((self.alpha / self.size) ** 0.5)))
        return tf.cast(x * tf.math.rsqrt(s * tf.sqrt(s)), self.compute_dtype)

    def _sums(self, squares: tf.Tensor) -> tf.Tensor:
        """k + the sums over neighboring channels."""
        channels, reach = squares.shape[-1], self.size // 2
        parts = []
        for wanted in np.array_split(
            np.arange(channels), max(channels // BAND_CHANNELS, 1)
        ):
            first, last = (
                max(wanted[0] - reach, 0),
                min(wanted[-1] + reach, channels - 1),
            )
            seen = np.arange(first, last + 1)
            near = np.abs(seen[:, None] - wanted) <= reach
            band = tf.constant(near[None, None].astype(np.float32))
            part = squares if len(seen) == channels else squares[..., first : last + 1]
            part = tf.nn.conv2d(part, band, 1, "VALID")
            parts.append(tf.nn.bias_add(part, tf.fill([len(wanted)], self.k)))
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=3)
