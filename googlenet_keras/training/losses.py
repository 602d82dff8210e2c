"""The loss and the metrics of each head."""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from googlenet_keras.network.layers import KERAS_PACKAGE
from googlenet_keras.run_folder import TOP_K


@keras.saving.register_keras_serializable(package=KERAS_PACKAGE)
class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy with label smoothing, of class numbers or of mixed images.

    (1 - s) * -log p[label] + s * mean over classes of -log p (arXiv 1512.00567, section
    7). y_true: [batch] integers, or [batch, classes] the share of each class in a mixed
    image (MixUp, CutMix). y_pred: [batch, classes] logits. Keras has no loss for both,
    and no smoothing for integer labels.
    """

    def __init__(self, smoothing: float = 0.0, name: str = "loss", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.smoothing = smoothing

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        logs = tf.nn.log_softmax(y_pred)
        if _is_mixed(y_true, y_pred):
            right = tf.reduce_sum(tf.cast(y_true, logs.dtype) * logs, axis=-1)
        else:
            right = tf.gather(logs, _main_class(y_true, y_pred), batch_dims=1)
        spread = tf.reduce_mean(logs, axis=-1)
        return -(1.0 - self.smoothing) * right - self.smoothing * spread  # [batch]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"smoothing": self.smoothing}


def _is_mixed(y_true: tf.Tensor, y_pred: tf.Tensor) -> bool:
    """Whether y_true holds each class's share rather than class numbers."""
    return len(y_true.shape) == 2 and y_true.shape[1] == y_pred.shape[1] > 1


def _main_class(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Class numbers, [batch]; of a mixed image, the class with the largest share."""
    if _is_mixed(y_true, y_pred):
        return tf.argmax(y_true, axis=-1, output_type=tf.int32)
    return tf.reshape(tf.cast(y_true, tf.int32), [-1])


def head_metrics(
    heads: Iterable[str], classes: int
) -> dict[str, list[keras.metrics.Metric]]:
    """The metrics of each head: top1, cross_entropy, and top5 for over 5 classes.

    cross_entropy is the mean over images without smoothing; Keras's own loss of each
    output is a mean of batch means. A mixed image counts for its largest class.
    """
    heads = list(heads)
    # Keras prefixes a metric with its output's name only if there are several outputs
    prefix = f"{heads[0]}_" if len(heads) == 1 else ""
    per_image = {"top1": _top1, "cross_entropy": SmoothedCrossEntropy(0.0).call}
    if classes > TOP_K:
        per_image["top5"] = _top5
    mean = keras.metrics.MeanMetricWrapper
    return {head: [mean(call, name=prefix + name) for name, call in per_image.items()]
            for head in heads}  # fmt: skip


def _top1(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    label = _main_class(y_true, y_pred)
    return keras.metrics.sparse_categorical_accuracy(label, y_pred)


def _top5(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    label = _main_class(y_true, y_pred)
    return keras.metrics.sparse_top_k_categorical_accuracy(label, y_pred, TOP_K)
