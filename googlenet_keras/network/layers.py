"""The two layers that GoogLeNet needs and Keras lacks, or computes slowly."""

from __future__ import annotations

import keras
import tensorflow as tf

PACKAGE = "googlenet_keras"


@keras.saving.register_keras_serializable(package=PACKAGE)
class FusedBatchNormalization(keras.layers.Layer):
    """Batch normalisation of [batch, height, width, channels] in one fused kernel.

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
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.scale = scale

    def build(self, input_shape) -> None:
        """Makes gamma, beta and the moving statistics, one value a channel."""
        shape = (input_shape[-1],)
        if self.scale:
            self.gamma = self._vector("gamma", shape, "ones", trainable=True)
        self.beta = self._vector("beta", shape, "zeros", trainable=True)
        self.moving_mean = self._vector("moving_mean", shape, "zeros", trainable=False)
        self.moving_variance = self._vector(
            "moving_variance", shape, "ones", trainable=False
        )

    def _vector(self, name, shape, initializer, trainable):
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            trainable=trainable,
            dtype="float32",
            autocast=False,
        )

    def call(self, inputs, training: bool = False):
        """Normalises by the batch in training, else by the moving statistics."""
        gamma = (
            tf.convert_to_tensor(self.gamma) if self.scale else tf.ones_like(self.beta)
        )
        normalise = tf.raw_ops.FusedBatchNormV3
        batch = training and self.trainable
        result = normalise(
            x=inputs,
            scale=gamma,
            offset=tf.convert_to_tensor(self.beta),
            mean=[] if batch else tf.convert_to_tensor(self.moving_mean),
            variance=[] if batch else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=batch,
        )
        if batch:
            self._follow(self.moving_mean, result.batch_mean)
            self._follow(self.moving_variance, result.batch_variance)
        return result.y

    def _follow(self, moving, value) -> None:
        moving.assign(moving * self.momentum + value * (1.0 - self.momentum))

    def compute_output_shape(self, input_shape):
        """The input's."""
        return input_shape

    def get_config(self) -> dict:
        """What `from_config` needs."""
        own = {"momentum": self.momentum, "epsilon": self.epsilon, "scale": self.scale}
        return super().get_config() | own


@keras.saving.register_keras_serializable(package=PACKAGE)
class LocalResponseNormalization(keras.layers.Layer):
    """x / (k + alpha / size * sum of x^2 over `size` neighbouring channels) ^ beta.

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
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def call(self, inputs):
        """Divides each value by its neighbourhood across channels."""
        normalised = tf.nn.local_response_normalization(
            tf.cast(inputs, "float32"),
            depth_radius=self.size // 2,
            bias=self.k,
            alpha=self.alpha / self.size,
            beta=self.beta,
        )
        return tf.cast(normalised, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """The input's."""
        return input_shape

    def get_config(self) -> dict:
        """What `from_config` needs."""
        own = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        return super().get_config() | own
