"""What each head minimises and what is reported of it."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import tensorflow as tf

from googlenet_keras.records import TOP_K


@keras.saving.register_keras_serializable(package="googlenet_keras")
class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits against class numbers, labels smoothed.

    (1 - s) * -log p[label] + s * mean over classes of -log p (arXiv 1512.00567, section
    7). y_true [batch] integers, y_pred [batch, classes] logits.
    """

    def __init__(self, smoothing: float = 0.0, name: str = "loss", **kwargs) -> None:
        super().__init__(name=name, **kwargs)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        """The loss of each image, [batch]."""
        logs = tf.nn.log_softmax(y_pred)
        labels = tf.reshape(tf.cast(y_true, tf.int32), [-1])
        right = tf.gather(logs, labels, batch_dims=1)
        spread = tf.reduce_mean(logs, axis=-1)
        return -(1.0 - self.smoothing) * right - self.smoothing * spread

    def get_config(self) -> dict:
        """What `from_config` needs."""
        return super().get_config() | {"smoothing": self.smoothing}


def head_metrics(heads: Iterable[str], classes: int) -> dict[str, list]:
    """By head: top1, top5 where there are more than 5 classes, exact cross_entropy.

    Keras's own per-output loss is a mean of batch means; cross_entropy is the mean over
    images, without smoothing.
    """
    return {head: _metrics(classes) for head in heads}


def _metrics(classes: int) -> list[keras.metrics.Metric]:
    found = [
        keras.metrics.SparseCategoricalAccuracy(name="top1"),
        keras.metrics.SparseCategoricalCrossentropy(
            name="cross_entropy", from_logits=True
        ),
    ]
    if classes > TOP_K:
        found.append(keras.metrics.SparseTopKCategoricalAccuracy(TOP_K, name="top5"))
    return found
