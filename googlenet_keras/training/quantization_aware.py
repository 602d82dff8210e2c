"""Quantization-aware training: fine-tuning with int8's rounding in the graph.

For networks that lose too much accuracy when their trained weights are quantized
(arXiv 1712.05877). TensorFlow's own toolkit (tfmot) does not support Keras 3.
"""

import re
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.artifacts.deployable import deployable_network
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.dataset import Dataset, without_autograph
from googlenet_keras.data.pipeline import steps_per_epoch
from googlenet_keras.network.layers import LocalResponseNormalization
from googlenet_keras.network.weights import assign_weights, named_weights
from googlenet_keras.training.input_pipeline import training_batches
from googlenet_keras.training.model import SmoothedCrossEntropy, head_metrics
from googlenet_keras.training.optimizer import make_optimizer
from googlenet_keras.training.recipes import MODERN

QAT_LEARNING_RATE = 5e-4  # low: the weights are trained, and no longer normalized
RANGE_MOMENTUM = 0.99  # of the moving averages of activation ranges
MIN_KERNEL_RANGE = 1e-9  # for a kernel of zeros
BRANCH_OUTPUT = re.compile(r"inception_(\w+)_(1x1|3x3|5x5|pool_proj)_relu")
OWN_RANGE_LAYERS = (
    keras.layers.ReLU,
    keras.layers.Rescaling,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Dense,
    LocalResponseNormalization,
)


class FakeQuantize(keras.layers.Layer):
    """Rounds to 256 steps over the range of its inputs; gradients pass through.

    The range always includes 0. In training it is a moving average of each batch's
    smallest and largest value, which starts at the first batch's.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.low = self.add_weight(initializer="zeros", trainable=False, name="low")
        self.high = self.add_weight(initializer="zeros", trainable=False, name="high")

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        low, high = self.low, self.high
        if training:
            is_empty = high.value <= low.value
            for bound, reduce in ((low, tf.reduce_min), (high, tf.reduce_max)):
                seen = reduce(tf.concat([tf.reshape(inputs, [-1]), [0.0]], 0))
                moved = RANGE_MOMENTUM * bound.value + (1 - RANGE_MOMENTUM) * seen
                bound.assign(tf.where(is_empty, seen, moved))
        return tf.quantization.fake_quant_with_min_max_vars(
            inputs, low.value, high.value
        )


class _FakeQuantizedConv2D(keras.layers.Conv2D):
    """A convolution whose kernel is rounded, with a range for each filter."""

    @property
    def kernel(self) -> tf.Tensor:
        value = tf.convert_to_tensor(self._kernel)
        limit = tf.maximum(tf.reduce_max(tf.abs(value), [0, 1, 2]), MIN_KERNEL_RANGE)
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(
            value, -limit, limit, narrow_range=True
        )


class _FakeQuantizedDense(keras.layers.Dense):
    """A dense layer whose kernel is rounded, with one range, as in TFLite."""

    @property
    def kernel(self) -> tf.Tensor:
        value = tf.convert_to_tensor(self._kernel)
        limit = tf.maximum(tf.reduce_max(tf.abs(value)), MIN_KERNEL_RANGE)
        return tf.quantization.fake_quant_with_min_max_vars(
            value, -limit, limit, narrow_range=True
        )


FAKE_QUANTIZED_LAYERS: dict[type, Any] = {
    keras.layers.Conv2D: _FakeQuantizedConv2D,
    keras.layers.Dense: _FakeQuantizedDense,
}


class IntegerPixels(keras.layers.Layer):
    """Rounds to whole numbers in 0..255, so that the TFLite input is plain uint8."""

    def call(self, image: tf.Tensor) -> tf.Tensor:
        return tf.quantization.fake_quant_with_min_max_args(image, 0, 255)


def train_quantization_aware(
    classifier: Classifier, dataset: Dataset, numbers: np.ndarray, epochs: int
) -> keras.Model:
    """Fine-tunes the deployable network of `classifier` with int8's rounding.

    The result maps `image` to {"probabilities"}; the converter reads every range from
    its graph. numbers: the classifier's class number for each class of the data set.
    Augmentation, batch size and momentum are the modern recipe's.
    """
    network = add_fake_quantization(deployable_network(classifier))
    # the pixels' scale makes this layer's weights so small that a step would ruin them
    network.get_layer(classifier.architecture.rows[0].name).trainable = False
    geometry = classifier.preprocessing
    config = replace(
        MODERN,
        epochs=epochs,
        grow="off",
        optimizer="sgd",
        image_size=(geometry.height, geometry.width),
        batch_size=min(MODERN.batch_size, dataset.train.count),
        learning_rate=QAT_LEARNING_RATE,
        warmup_epochs=0.0,
        weight_decay=0.0,
    ).resolve(dataset.kind)

    def renumber(images: tf.Tensor, labels: dict[str, tf.Tensor]) -> tuple:
        return images, {"main": tf.gather(numbers, labels["main"])}

    batches = training_batches(config, dataset, heads=("main",))
    batches = batches.map(without_autograph(renumber))
    steps = steps_per_epoch(dataset.train, config.batch_size)
    logits = {"main": network.get_layer("main_range").output}
    trained = keras.Model(network.inputs, logits)
    trained.compile(
        make_optimizer(config, steps),
        SmoothedCrossEntropy(config.label_smoothing),
        metrics=head_metrics(logits, len(classifier.labels))["main"],
        jit_compile=False,
    )
    trained.fit(batches, epochs=epochs, steps_per_epoch=steps, shuffle=False)
    return network


def divide_logits(network: keras.Model, temperature: float) -> None:
    """Divides the logits of a trained network, and their range, by `temperature`."""
    for name in ("main", "main_range"):
        layer = network.get_layer(name)
        layer.set_weights([x / temperature for x in layer.get_weights()])


def add_fake_quantization(network: keras.Model) -> keras.Model:
    """Copies a deployable network and adds the rounding that its int8 file will do.

    The branches of a module share one range, since concatenation does not requantize.
    """
    ranges: dict[str, FakeQuantize] = {}
    integer_pixels = IntegerPixels(name="raw_pixels")

    def clone_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = FAKE_QUANTIZED_LAYERS.get(type(layer), type(layer))
        return kind.from_config(layer.get_config())

    def call_layer(layer: keras.layers.Layer, *inputs: Any, **options: Any) -> Any:
        if layer.name == "pixels":
            inputs = (integer_pixels(inputs[0]),)
        result = layer(*inputs, **options)
        branch = BRANCH_OUTPUT.fullmatch(layer.name)
        if not (branch or isinstance(layer, OWN_RANGE_LAYERS)):
            return result
        name = f"{branch[1] if branch else layer.name}_range"
        return ranges.setdefault(name, FakeQuantize(name=name))(result)

    copy = keras.models.clone_model(
        network, clone_function=clone_layer, call_function=call_layer
    )
    # the ranges stay empty
    assign_weights(copy, named_weights(copy) | named_weights(network))
    return copy
