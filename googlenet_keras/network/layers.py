"""Faster layers than Keras's own: batch normalization, joint convolutions."""

from collections.abc import Sequence
from typing import Any, Self

import keras
import tensorflow as tf

KERAS_PACKAGE = "googlenet_keras"  # of the registered names in .keras files
# oneDNN normalizes other numbers of bfloat16 channels 7 to 18 times slower
BFLOAT16_CHANNEL_MULTIPLE = 16

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
        self.momentum = momentum
        self.epsilon = epsilon
        self.scale = scale

    def build(self, input_shape: Shape) -> None:
        shape = (input_shape[-1],)
        if self.scale:
            self.gamma = self._vector("gamma", shape, "ones", trainable=True)
        self.beta = self._vector("beta", shape, "zeros", trainable=True)
        self.moving_mean = self._vector("moving_mean", shape, "zeros", trainable=False)
        self.moving_variance = self._vector(
            "moving_variance", shape, "ones", trainable=False
        )

    def _vector(
        self, name: str, shape: Shape, initializer: str, trainable: bool
    ) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            trainable=trainable,
            dtype="float32",
            autocast=False,
        )

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return normalize_jointly([self], inputs, training and self.trainable)

    def update_statistics(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        """Updates the moving statistics with those of a batch."""
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"momentum": self.momentum, "epsilon": self.epsilon, "scale": self.scale}
        return super().get_config() | own


def normalize_jointly(
    norms: Sequence[FusedBatchNormalization], inputs: tf.Tensor, by_batch: bool
) -> tf.Tensor:
    """Applies several batch normalizations to concatenated maps in one kernel.

    inputs: [batch, height, width, the channels of all `norms` in turn]. by_batch: use
    the batch's own statistics and update the moving ones.
    """

    def concatenate(name: str) -> tf.Tensor:
        return tf.concat([tf.convert_to_tensor(getattr(n, name)) for n in norms], 0)

    beta = concatenate("beta")
    gamma = concatenate("gamma") if norms[0].scale else tf.ones_like(beta)
    moving = (
        [] if by_batch else [concatenate("moving_mean"), concatenate("moving_variance")]
    )
    y, mean, variance = _normalize(inputs, norms[0].epsilon, gamma, beta, *moving)
    if by_batch:
        sizes = [norm.beta.shape[0] for norm in norms]
        parts = zip(tf.split(mean, sizes), tf.split(variance, sizes), strict=True)
        for norm, part in zip(norms, parts, strict=True):
            norm.update_statistics(*part)
    return y


def _normalize(
    x: tf.Tensor,
    epsilon: float,
    scale: tf.Tensor,
    offset: tf.Tensor,
    *statistics: tf.Tensor,  # moving mean and variance
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """(normalized `x`, mean, variance), by the batch's statistics or those given."""
    channels = x.shape[-1]
    missing = -channels % BFLOAT16_CHANNEL_MULTIPLE if x.dtype == tf.bfloat16 else 0
    if missing:
        tensors = (x, scale, offset, *statistics)
        x, scale, offset, *moving = [_pad_channels(t, missing) for t in tensors]
        statistics = tuple(moving)
    mean, variance = statistics or ([], [])
    result = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=scale,
        offset=offset,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        is_training=not statistics,
    )
    outputs = result.y, result.batch_mean, result.batch_variance
    if missing:
        y, mean, variance = [tf.split(t, [channels, missing], -1)[0] for t in outputs]
        return y, mean, variance
    return outputs


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
        self.convolutions = list(convolutions)
        self.norms = list(norms)
        kinds = {(c.kernel_size, c.strides, c.use_bias) for c in self.convolutions}
        if kinds != {((1, 1), (1, 1), not self.norms)}:
            raise ValueError("all must be 1x1, of stride 1, with a bias or a norm.")
        if len({(n.scale, n.epsilon) for n in self.norms}) > 1:
            raise ValueError("all norms must have the same scale and epsilon.")

    def build(self, input_shape: Shape) -> None:
        shapes = [input_shape] * len(self.convolutions)
        if self.norms:
            shapes += self.compute_output_shape(input_shape)
        for layer, shape in zip(self.convolutions + self.norms, shapes, strict=True):
            if not layer.built:  # one that was read from a file has its weights
                layer.build(shape)

    def call(self, inputs: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        kernels = [tf.convert_to_tensor(c.kernel) for c in self.convolutions]
        x = tf.nn.conv2d(inputs, tf.concat(kernels, 3), 1, "VALID")
        if self.norms:
            trainable = all(norm.trainable for norm in self.norms)
            x = normalize_jointly(self.norms, x, training and trainable)
        else:
            biases = [tf.convert_to_tensor(c.bias) for c in self.convolutions]
            x = tf.nn.bias_add(x, tf.concat(biases, 0))
        sizes = [convolution.filters for convolution in self.convolutions]
        return tf.split(tf.nn.relu(x), sizes, axis=3)

    def compute_output_shape(self, input_shape: Shape) -> list[Shape]:
        return [(*input_shape[:-1], c.filters) for c in self.convolutions]

    def get_config(self) -> dict[str, Any]:
        parts = {"convolutions": self.convolutions, "norms": self.norms}
        own = {
            name: [keras.saving.serialize_keras_object(x) for x in layers]
            for name, layers in parts.items()
        }
        return super().get_config() | own

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        parts = {
            name: [keras.saving.deserialize_keras_object(x) for x in config[name]]
            for name in ("convolutions", "norms")
        }
        return cls(**(config | parts))
