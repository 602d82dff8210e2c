"""What each head minimises and what is reported of it."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import tensorflow as tf

from googlenet_keras.network.layers import KERAS_PACKAGE
from googlenet_keras.run_folder import TOP_K


@keras.saving.register_keras_serializable(package=KERAS_PACKAGE)
class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits against class numbers or parts, labels smoothed.

    (1 - s) * -log p[label] + s * mean over classes of -log p (arXiv 1512.00567, section
    7). y_true [batch] integers, or [batch, classes] where images are mixed, each
    class's part; y_pred [batch, classes] logits.
    """

    def __init__(self, smoothing: float = 0.0, name: str = "loss", **kwargs) -> None:
        super().__init__(name=name, **kwargs)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        """The loss of each image, [batch]."""
        logs = tf.nn.log_softmax(y_pred)
        if _is_mixed(y_true, y_pred):
            right = tf.reduce_sum(tf.cast(y_true, logs.dtype) * logs, axis=-1)
        else:
            right = tf.gather(logs, _main_class(y_true, y_pred), batch_dims=1)
        spread = tf.reduce_mean(logs, axis=-1)
        return -(1.0 - self.smoothing) * right - self.smoothing * spread

    def get_config(self) -> dict:
        """What `from_config` needs."""
        return super().get_config() | {"smoothing": self.smoothing}


def _is_mixed(y_true, y_pred) -> bool:
    """Whether y_true has each class's part rather than class numbers."""
    return len(y_true.shape) == 2 and y_true.shape[1] == y_pred.shape[1] > 1


def _main_class(y_true, y_pred):
    """The class number, [batch]; of a mixed image, the class with the largest part."""
    if _is_mixed(y_true, y_pred):
        return tf.argmax(y_true, axis=-1, output_type=tf.int32)
    return tf.reshape(tf.cast(y_true, tf.int32), [-1])


def head_metrics(heads: Iterable[str], classes: int) -> dict[str, list]:
    """By head: top1, top5 where there are more than 5 classes, exact cross_entropy.

    Keras's own per-output loss is a mean of batch means; cross_entropy is the mean over
    images, without smoothing. A mixed image counts as of its largest part's class.
    """
    heads = list(heads)
    # Keras puts an output's name before its metrics' only where there are several
    prefix = f"{heads[0]}_" if len(heads) == 1 else ""
    return {head: _metrics(classes, prefix) for head in heads}


def _metrics(classes: int, prefix: str) -> list[keras.metrics.Metric]:
    per_image = {"top1": _top1, "cross_entropy": SmoothedCrossEntropy(0.0).call}
    if classes > TOP_K:
        per_image["top5"] = _top5
    mean = keras.metrics.MeanMetricWrapper
    return [mean(call, name=prefix + name) for name, call in per_image.items()]


def _top1(y_true, y_pred):
    label = _main_class(y_true, y_pred)
    return keras.metrics.sparse_categorical_accuracy(label, y_pred)


def _top5(y_true, y_pred):
    label = _main_class(y_true, y_pred)
    return keras.metrics.sparse_top_k_categorical_accuracy(label, y_pred, TOP_K)
