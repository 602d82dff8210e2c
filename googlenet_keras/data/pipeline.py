"""Splits become batches, in reading order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf

from googlenet_keras.data.augmentation import Augmentation
from googlenet_keras.data.crops import Crops
from googlenet_keras.data.dataset import Split
from googlenet_keras.data.preprocessing import Preprocessing, to_bytes
from googlenet_keras.data.regularization import Regularization
from googlenet_keras.errors import UserError

EVALUATION_BATCH = 64
NONE = Regularization()


@dataclass(frozen=True)
class Share:
    """What one of several workers reads: each `workers`-th image from the `worker`-th.

    replicas: devices of all workers; each gets that part of a batch to itself.
    """

    worker: int = 0
    workers: int = 1
    replicas: int = 1

    def of(self, examples: tf.data.Dataset) -> tf.data.Dataset:
        """The worker's part of `examples`; where nothing was read yet, nothing is."""
        return examples.shard(self.workers, self.worker)

    def evaluation_steps(self, images: int, batch_size: int) -> int | None:
        """Steps in which all replicas see `images`; none where one sees them alone.

        Raises UserError for less than one image for each replica.
        """
        if self.replicas == 1:
            return None
        if images < self.replicas:
            raise UserError(
                f"there must be a validation image for each of the {self.replicas} "
                f"devices; there are {images}."
            )
        return math.ceil(images / (self.replicas * batch_size))


WHOLE = Share()


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
    start: tuple[int, int] = (0, 0),
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """(images [batch, height, width, 3] uint8, labels by head) of `epochs` epochs.

    Each epoch has its own order and `steps_per_epoch` batches; it leaves out fewer than
    `batch_size` images, other ones each time. Order and augmentation depend on (seed,
    epoch, index) alone. Labels are class numbers, or each class's part of the image
    where `regularization` mixes images. class_weights: with them, each pair has a third
    member, the weight of each image in the loss of each head. start: the epoch, from 0,
    and how many of its batches are left out, as if they had been used before.

    share: of one worker; the union of all workers' batches of a step is the batch that
    one alone would have. Each replica has a batch of its own, batch_size / replicas
    images, and images are mixed within it.
    """
    crop = augment.reader(split.content)
    harder = regularization.of_image()
    used = steps_per_epoch(split, batch_size) * batch_size

    def one_epoch(epoch):
        left_out = tf.constant(start[1] * batch_size, tf.int64)
        skipped = tf.where(epoch == start[0], left_out, 0)
        examples = split.shuffled(seed, epoch).take(used).skip(skipped)
        # a map that only adds the epoch costs more than to join two data sets
        epochs = tf.data.Dataset.from_tensors(epoch).repeat()
        return tf.data.Dataset.zip(epochs, share.of(examples))

    def prepare(epoch, example):
        index, label, reference = example
        key = tf.stack([(seed << 32) + epoch, index])
        return harder(crop(split.load(reference), key), key), label, key

    return (
        tf.data.Dataset.range(start[0], epochs)
        .flat_map(one_epoch)
        .map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size // share.replicas, drop_remainder=True)
        .map(
            _finish(regularization, heads, class_weights),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .prefetch(tf.data.AUTOTUNE)
        .with_options(_all_cores())
    )


def _finish(
    regularization: Regularization,
    heads: Sequence[str],
    class_weights: Sequence[float] | None,
) -> Callable[..., tuple]:
    """What is done to a batch of images, labels and keys before it is used."""
    mixed = regularization.of_batch()

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

    return finish


def _all_cores() -> tf.data.Options:
    """Every core from the start, which spares the search for how many to use."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def batch_files(
    split: Split, *, batch_size: int, seed: int, epoch: int, step: int
) -> list[str]:
    """The files of one of `for_training`'s batches, or its images' numbers, if none.

    epoch, step: from 0.
    """
    order = split.shuffled(seed, tf.constant(epoch, tf.int64))
    batch = order.skip(step * batch_size).take(batch_size)
    indices = [int(index) for index, *_ in batch]
    return [str(split.files[i]) if split.files else f"image {i}" for i in indices]


def _image_weights(labels: tf.Tensor, class_weights: Sequence[float]) -> tf.Tensor:
    weights = tf.constant(class_weights, tf.float32)
    if labels.dtype.is_floating:
        return tf.linalg.matvec(labels, weights)
    return tf.gather(weights, labels)


def for_evaluation(
    split: Split,
    preprocessing: Preprocessing | Crops,
    *,
    heads: Sequence[str],
    batch_size: int = EVALUATION_BATCH,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """The same pairs of every image of `split` once, in reading order.

    With Crops each image is [crops, height, width, 3].
    share: one worker's images of them, in `evaluation_steps` batches for each of its
    replicas, as equal as can be: TensorFlow cannot compute with an empty one.
    batch_size is each replica's largest.
    """

    def prepare(_, label, reference):
        image = preprocessing.read(split.load(reference))
        return image, dict.fromkeys(heads, label)

    def batches(examples, size):
        made = examples.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).batch(size)
        return made.prefetch(tf.data.AUTOTUNE)

    examples = share.of(split.in_order())
    steps = share.evaluation_steps(split.count, batch_size)
    if steps is None:
        return batches(examples, batch_size)
    mine = len(range(share.worker, split.count, share.workers))
    size, larger = divmod(mine, steps * share.replicas // share.workers)
    first = larger * (size + 1)
    return batches(examples.take(first), size + 1).concatenate(
        batches(examples.skip(first), size)
    )
