"""Splits become batches, in reading order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from googlenet_keras.data.sources import Split
from googlenet_keras.data.transforms import Preprocessing, decode
from googlenet_keras.errors import UserError

EVALUATION_BATCH = 64


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Whole batches in one epoch. Raises UserError if there is none."""
    if batch_size > split.count:
        raise UserError(
            f"batch_size must be at most the number of training images, {split.count}; "
            f"received {batch_size}."
        )
    return split.count // batch_size


def for_training(
    split: Split,
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    *,
    batch_size: int,
    epochs: int,
    seed: int,
    heads: Sequence[str],
) -> tf.data.Dataset:
    """(images [batch, height, width, 3], labels by head) for `epochs` epochs in a row.

    Each epoch has its own order and `steps_per_epoch` batches; it leaves out
    fewer than `batch_size` images, other ones each time. Order and augmentation depend
    on (seed, epoch, index) alone.
    """
    used = steps_per_epoch(split, batch_size) * batch_size

    def one_epoch(epoch):
        examples = split.shuffled(seed, epoch).take(used)
        return examples.map(lambda *example: (epoch, *example))

    def prepare(epoch, index, label, reference):
        key = tf.stack([tf.cast(seed, tf.int64), epoch])
        key = tf.random.experimental.stateless_fold_in(key, index)
        image = augment(decode(split.load(reference)), key)
        return image, dict.fromkeys(heads, label)

    return (
        tf.data.Dataset.range(epochs)
        .flat_map(one_epoch)
        .map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def for_evaluation(
    split: Split,
    preprocessing: Preprocessing,
    *,
    heads: Sequence[str],
    batch_size: int = EVALUATION_BATCH,
) -> tf.data.Dataset:
    """The same pairs of every image of `split` once, in reading order."""

    def prepare(_, label, reference):
        image = preprocessing(decode(split.load(reference)))
        return image, dict.fromkeys(heads, label)

    return (
        split.in_order()
        .map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )
