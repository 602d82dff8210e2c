"""Splits become batches, in reading order."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from googlenet_keras.data.augmentation import Augmentation
from googlenet_keras.data.regularization import Regularization
from googlenet_keras.data.splits import Split
from googlenet_keras.data.transforms import Preprocessing, to_bytes
from googlenet_keras.errors import UserError

EVALUATION_BATCH = 64
NONE = Regularization()


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Whole batches in one epoch. Raises UserError if there is none."""
    if batch_size > split.count:
        raise UserError(
            f"batch_size must be at most the number of training images, {split.count}; "
            f"received {batch_size}."
        )
    return split.count // batch_size


def balanced_weights(split: Split) -> list[float]:
    """Weights by class that make every class count alike, 1 in the mean over images.

    Raises UserError where the source does not know how many images a class has.
    """
    if split.class_counts is None:
        raise UserError(
            "--class-weights balanced needs the number of images of each class, which "
            "TFDS does not tell; use none."
        )
    present = sum(count > 0 for count in split.class_counts)
    return [split.count / (present * n) if n else 0.0 for n in split.class_counts]


def for_training(
    split: Split,
    augment: Augmentation,
    *,
    batch_size: int,
    epochs: int,
    seed: int,
    heads: Sequence[str],
    regularization: Regularization = NONE,
    class_weights: Sequence[float] | None = None,
) -> tf.data.Dataset:
    """(images [batch, height, width, 3] uint8, labels by head) of `epochs` epochs.

    Each epoch has its own order and `steps_per_epoch` batches; it leaves out fewer than
    `batch_size` images, other ones each time. Order and augmentation depend on (seed,
    epoch, index) alone. Labels are class numbers, or each class's part of the image
    where `regularization` mixes images. class_weights: with them, each pair has a third
    member, the weight of each image in the loss of each head.
    """
    crop = augment.reader(split.content)
    harder, mixed = regularization.of_image(), regularization.of_batch()
    used = steps_per_epoch(split, batch_size) * batch_size

    def one_epoch(epoch):
        examples = split.shuffled(seed, epoch).take(used)
        return examples.map(lambda *example: (epoch, *example))

    def prepare(epoch, index, label, reference):
        key = tf.stack([tf.cast(seed, tf.int64), epoch])
        key = tf.random.experimental.stateless_fold_in(key, index)
        return harder(crop(split.load(reference), key), key), label, key

    def finish(images, labels, keys):
        if regularization.mixes:
            images, labels = mixed(images, labels, keys[0])
        if images.dtype.is_floating:
            images = to_bytes(images)
        by_head = dict.fromkeys(heads, labels)
        if class_weights is None:
            return images, by_head
        weights = _image_weights(labels, class_weights)
        return images, by_head, dict.fromkeys(heads, weights)

    return (
        tf.data.Dataset.range(epochs)
        .flat_map(one_epoch)
        .map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size, drop_remainder=True)
        .map(finish, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def _image_weights(labels: tf.Tensor, class_weights: Sequence[float]) -> tf.Tensor:
    weights = tf.constant(class_weights, tf.float32)
    if labels.dtype.is_floating:
        return tf.linalg.matvec(labels, weights)
    return tf.gather(weights, labels)


def for_evaluation(
    split: Split,
    preprocessing: Preprocessing,
    *,
    heads: Sequence[str],
    batch_size: int = EVALUATION_BATCH,
) -> tf.data.Dataset:
    """The same pairs of every image of `split` once, in reading order."""

    def prepare(_, label, reference):
        image = preprocessing.read(split.load(reference))
        return image, dict.fromkeys(heads, label)

    return (
        split.in_order()
        .map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )
