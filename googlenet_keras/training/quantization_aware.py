"""Fine-tuning with the rounding of int8 in the graph (quantisation-aware training).

The way out where rounding a trained network costs more than it may: the weights learn
to live with it (arXiv 1712.05877). TensorFlow's own toolkit does not know Keras 3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.artifacts.deployable import deployable_network
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.data.pipeline import steps_per_epoch
from googlenet_keras.network.response_norm import LocalResponseNormalization
from googlenet_keras.network.weights import assign_weights, named_weights
from googlenet_keras.training import losses
from googlenet_keras.training.recipes import MODERN
from googlenet_keras.training.trainer import training_batches

QAT_LEARNING_RATE = 5e-4  # of folded weights, which nothing normalises any more
CLIP_NORM = 5.0
RANGE_MOMENTUM = 0.99  # of the running averages of activations' ranges
SMALLEST_RANGE = 1e-9  # range of a kernel of zeros
CONCATENATED_SUFFIXES = (
    "_1x1_relu",
    "_3x3_relu",
    "_5x5_relu",
    "_pool_proj_relu",
)  # by a module


class FakeQuantize(keras.layers.Layer):
    """Rounds to 256 steps over the range of its inputs; gradients pass through.

    The range always holds 0. In training it follows each batch's smallest and largest
    value in a running average that begins at the first batch's.
    """

    def build(self, input_shape) -> None:
        """Makes the range, empty at first."""
        self.low, self.high = (
            self.add_weight(name=name, shape=(), initializer="zeros", trainable=False)
            for name in ("low", "high")
        )

    def call(self, inputs, training: bool = False):
        """Rounds `inputs`."""
        if training:
            self._follow(inputs)
        return tf.quantization.fake_quant_with_min_max_vars(
            inputs, self.low.value, self.high.value
        )

    def _follow(self, inputs) -> None:
        new = self.high.value <= self.low.value
        for bound, reach in ((self.low, tf.reduce_min), (self.high, tf.reduce_max)):
            seen = reach(tf.concat([tf.reshape(inputs, [-1]), [0.0]], 0))
            moved = RANGE_MOMENTUM * bound.value + (1 - RANGE_MOMENTUM) * seen
            bound.assign(tf.where(new, seen, moved))


class _FakeQuantizedConv2D(keras.layers.Conv2D):
    """A convolution whose kernel is rounded, with a range for each filter."""

    @property
    def kernel(self):
        """The kernel, rounded."""
        value = tf.convert_to_tensor(self._kernel)
        reach = tf.maximum(tf.reduce_max(tf.abs(value), [0, 1, 2]), SMALLEST_RANGE)
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(
            value, -reach, reach, narrow_range=True
        )


class _FakeQuantizedDense(keras.layers.Dense):
    """A dense layer whose kernel is rounded, with one range: TFLite wants no more."""

    @property
    def kernel(self):
        """The kernel, rounded."""
        value = tf.convert_to_tensor(self._kernel)
        reach = tf.maximum(tf.reduce_max(tf.abs(value)), SMALLEST_RANGE)
        return tf.quantization.fake_quant_with_min_max_vars(
            value, -reach, reach, narrow_range=True
        )


def train_quantization_aware(
    classifier: Classifier, dataset: Dataset, numbers: np.ndarray, epochs: int
) -> keras.Model:
    """The deployable network of `classifier` with int8's rounding, trained with it.

    From `image` to {"probabilities"}; the converter takes every range from the graph.
    numbers: the classifier's class number for each of the data set's. Crops and colours
    are the data's defaults.
    """
    network = add_fake_quantization(deployable_network(classifier))
    # with the pixels' scale in them, its weights are so small that a step breaks them
    network.get_layer(classifier.architecture.rows[0].name).trainable = False
    geometry = classifier.preprocessing
    config = replace(
        MODERN,
        epochs=epochs,
        image_size=(geometry.height, geometry.width),
        batch_size=min(MODERN.batch_size, dataset.train.count),
    ).resolved(dataset.defaults)
    batches = training_batches(config, dataset, heads=("main",)).map(
        lambda images, labels: (images, {"main": tf.gather(numbers, labels["main"])})
    )
    steps = steps_per_epoch(dataset.train, config.batch_size)
    logits = keras.Model(
        network.inputs, {"main": network.get_layer("main_range").output}
    )
    rate = keras.optimizers.schedules.CosineDecay(QAT_LEARNING_RATE, epochs * steps)
    logits.compile(
        keras.optimizers.SGD(rate, 0.9, nesterov=True, global_clipnorm=CLIP_NORM),
        losses.SmoothedCrossEntropy(config.label_smoothing),
        metrics=losses.head_metrics(["main"], len(classifier.labels))["main"],
        jit_compile=False,
    )
    logits.fit(batches, epochs=epochs, steps_per_epoch=steps, shuffle=False)
    return network


def add_fake_quantization(network: keras.Model) -> keras.Model:
    """A copy of a deployable network that rounds as its int8 file will.

    What a module joins has one range, since joining rounds no more.
    """
    ranges: dict[str, FakeQuantize] = {}

    def rounded_after(layer, *inputs, **options):
        if layer.name == "pixels":  # raw pixels are whole numbers up to 255
            (image,) = inputs
            inputs = (raw_pixels(image),)
        result = layer(*inputs, **options)
        name = _range_name(layer)
        if name is None:
            return result
        return ranges.setdefault(name, FakeQuantize(name=name))(result)

    raw_pixels = _IntegerPixels(name="raw_pixels")
    copy = keras.models.clone_model(
        network, clone_function=_fake_quantized_layer, call_function=rounded_after
    )
    assign_weights(
        copy, named_weights(copy) | named_weights(network)
    )  # ranges stay empty
    return copy


class _IntegerPixels(keras.layers.Layer):
    """Rounds to whole numbers in 0..255, which makes the file's input uint8's own."""

    def call(self, image):
        """Rounds `image`."""
        return tf.quantization.fake_quant_with_min_max_args(image, 0, 255)


def _fake_quantized_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    kinds: dict[Any, Any] = {
        keras.layers.Conv2D: _FakeQuantizedConv2D,
        keras.layers.Dense: _FakeQuantizedDense,
    }
    kind: Any = kinds.get(type(layer), type(layer))
    return kind.from_config(layer.get_config())


def _range_name(layer: keras.layers.Layer) -> str | None:
    """The range that a layer's result is rounded to; None if it keeps its input's."""
    if layer.name.startswith("inception") and layer.name.endswith(
        CONCATENATED_SUFFIXES
    ):
        return layer.name.removesuffix("_relu").split("_")[1] + "_range"
    kinds = (
        keras.layers.ReLU,
        keras.layers.Rescaling,
        keras.layers.GlobalAveragePooling2D,
        LocalResponseNormalization,
    )
    if isinstance(layer, kinds) or layer.name == "main":
        return f"{layer.name}_range"
    return None
