"""Layers that Keras lacks or runs slower: normalizations, joint convolutions."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

KERAS_PACKAGE = "googlenet_keras"  # of the registered names in .keras files
# oneDNN normalizes other numbers of bfloat16 channels 7 to 18 times slower
BFLOAT16_CHANNEL_MULTIPLE = 16
BAND_CHANNELS = 48  # channels of a banded product; 192 at once take 2.3 times as long

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package=KERAS_PACKAGE)
class FusedBatchNormalization(keras.layers.Layer):
    """Batch normalization of [batch, height, width, channels] in one fused kernel.

    gamma * (x - mean) / sqrt(variance + epsilon) + beta per channel; gamma is 1 where
    `scale` is False. Statistics are float32 under every precision. The moving variance
    follows the unbiased batch variance, as PyTorch's does. keras.layers's own computes
    the moments in separate reductions and clips half-precision values to float16.
    """

    def __init__(
        self,
        momentum: float = 0.9,  # torchvision's 0.1 counts from the other end
        epsilon: float = 1e-3,  # torchvision and TF-Slim
        scale: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.momentum, self.epsilon, self.scale = momentum, epsilon, scale

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1:]
        vector = partial(self.add_weight, channels, dtype="float32", autocast=False)
        statistic = partial(vector, trainable=False)
        if self.scale:
            self.gamma = vector(name="gamma", initializer="ones")
        self.beta = vector(name="beta", initializer="zeros")
        self.moving_mean = statistic(name="moving_mean", initializer="zeros")
        self.moving_variance = statistic(name="moving_variance", initializer="ones")

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return _normalize_jointly([self], inputs, training and self.trainable)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"momentum": self.momentum, "epsilon": self.epsilon, "scale": self.scale}
        return super().get_config() | own


def _normalize_jointly(
    norms: Sequence[FusedBatchNormalization], inputs: tf.Tensor, by_batch: bool
) -> tf.Tensor:
    """Applies several batch normalizations to concatenated maps in one kernel.

    inputs: [batch, height, width, the channels of all `norms` in turn]. by_batch: use
    the batch's own statistics and update the moving ones.
    """

    def concatenate(name: str) -> tf.Tensor:
        return tf.concat([tf.convert_to_tensor(getattr(n, name)) for n in norms], 0)

    names = ("moving_mean", "moving_variance")
    beta = concatenate("beta")
    gamma = concatenate("gamma") if norms[0].scale else tf.ones_like(beta)
    tensors = [inputs, gamma, beta, *map(concatenate, () if by_batch else names)]
    channels, missing = inputs.shape[-1], 0
    if inputs.dtype == tf.bfloat16:
        missing = -channels % BFLOAT16_CHANNEL_MULTIPLE
    if missing:
        tensors = [_pad_channels(tensor, missing) for tensor in tensors]
    x, scale, offset, *moving = tensors
    mean, variance = moving or ([], [])
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=scale,
        offset=offset,
        mean=mean,
        variance=variance,
        epsilon=norms[0].epsilon,
        is_training=not moving,
    )
    if missing:
        parts = [channels, missing]
        y, mean, variance = (tf.split(x, parts, -1)[0] for x in (y, mean, variance))
    if by_batch:
        sizes = [norm.beta.shape[0] for norm in norms]
        for name, batch in zip(names, (mean, variance), strict=True):
            for norm, value in zip(norms, tf.split(batch, sizes), strict=True):
                average = getattr(norm, name)
                average.assign(average * norm.momentum + value * (1.0 - norm.momentum))
    return y


def _pad_channels(x: tf.Tensor, channels: int) -> tf.Tensor:
    """Appends `channels` channels of zeros; tf.pad takes six times as long."""
    zeros = tf.zeros([*tf.unstack(tf.shape(x)[:-1]), channels], x.dtype)
    return tf.concat([x, zeros], -1)


@keras.saving.register_keras_serializable(package=KERAS_PACKAGE)
class JointConvolutions(keras.layers.Layer):
    """Several 1x1 convolutions of one tensor, each with a ReLU, computed as one.

    [batch, height, width, channels] to a list of [batch, height, width, filters], one
    for each of `convolutions`. norms: one for each convolution, or none. The weights
    are theirs; one wide matrix product is faster than several narrow ones.
    """

    def __init__(
        self,
        convolutions: Sequence[keras.layers.Conv2D],
        norms: Sequence[FusedBatchNormalization] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.convolutions, self.norms = list(convolutions), list(norms)
        kinds = {(c.kernel_size, c.strides, c.use_bias) for c in convolutions}
        alike = len({(n.scale, n.epsilon) for n in norms}) <= 1
        if kinds != {((1, 1), (1, 1), not norms)} or not alike:
            raise ValueError("all must be 1x1, stride 1, with a bias or equal norms.")

    def build(self, input_shape: Shape) -> None:
        outputs = self.compute_output_shape(input_shape)
        shapes = [input_shape] * len(outputs) + outputs
        for layer, shape in zip(self.convolutions + self.norms, shapes, strict=False):
            if not layer.built:  # one that was read from a file has its weights
                layer.build(shape)

    def call(self, inputs: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        kernels = [tf.convert_to_tensor(c.kernel) for c in self.convolutions]
        x = tf.nn.conv2d(inputs, tf.concat(kernels, 3), 1, "VALID")
        if self.norms:
            trainable = all(norm.trainable for norm in self.norms)
            x = _normalize_jointly(self.norms, x, training and trainable)
        else:
            biases = [tf.convert_to_tensor(c.bias) for c in self.convolutions]
            x = tf.nn.bias_add(x, tf.concat(biases, 0))
        return tf.split(tf.nn.relu(x), [c.filters for c in self.convolutions], axis=3)

    def compute_output_shape(self, input_shape: Shape) -> list[Shape]:
        return [(*input_shape[:-1], c.filters) for c in self.convolutions]

    def get_config(self) -> dict[str, Any]:
        own = {"convolutions": self.convolutions, "norms": self.norms}
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {k: serialize([*v]) for k, v in own.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        read = keras.saving.deserialize_keras_object
        own = {name: read(config[name]) for name in ("convolutions", "norms")}
        return cls(**(config | own))


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
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = tf.cast(inputs, "float32")
        x = tf.nn.local_response_normalization(
            x, self.size // 2, self.k, self.alpha / self.size, self.beta
        )
        return tf.cast(x, self.compute_dtype)

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
        squares = tf.square(x * np.float32((self.alpha / self.size) ** 0.5))
        channels, reach, sums = np.arange(x.shape[-1]), self.size // 2, []
        for part in np.array_split(channels, max(len(channels) // BAND_CHANNELS, 1)):
            seen = channels[max(part[0] - reach, 0) : part[-1] + reach + 1]
            band = (np.abs(seen[:, None] - part) <= reach).astype(np.float32)
            whole = len(seen) == len(channels)
            near = squares if whole else squares[..., seen[0] : seen[-1] + 1]
            near = tf.nn.conv2d(near, band[None, None], 1, "VALID")
            sums.append(tf.nn.bias_add(near, tf.fill([len(part)], self.k)))
        s = sums[0] if len(sums) == 1 else tf.concat(sums, axis=3)
        return tf.cast(x * tf.math.rsqrt(s * tf.sqrt(s)), self.compute_dtype)
