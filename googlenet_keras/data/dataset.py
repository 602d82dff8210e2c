"""The one shape that all data has: splits of images with labels.

A Split gives (index, label, reference) in reading order or shuffled, and turns a
reference into an image: that part runs in parallel, after the shuffling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf

from googlenet_keras.errors import unknown_choice

ENCODED, UPRIGHT_JPEG, PIXELS = "encoded", "upright jpeg", "pixels"
SHUFFLE_BUFFER = 8192  # encoded images held where a source has no random access
LOOKUP_BLOCK = 256  # references at a time


@dataclass(frozen=True)
class Split:
    """Labelled images of one purpose.

    stream: () to a tf.data.Dataset of (index, label, reference) in reading order.
    load: reference to encoded bytes, as a TensorFlow function. class_counts: images of
    each class where the source knows them. listed: (labels, references) where they are
    all in memory, so that any order costs nothing. files: those it reads, if any.
    content: what `load` gives: "encoded" bytes, "upright jpeg" where all are known to
    be JPEGs that need no turning, or "pixels", [h, w, 3] uint8.
    """

    count: int
    stream: Callable[[], tf.data.Dataset]
    load: Callable[[tf.Tensor], tf.Tensor]
    class_counts: tuple[int, ...] | None = None
    listed: tuple[tf.Tensor, tf.Tensor] | None = None
    files: tuple[Path, ...] = ()
    content: str = ENCODED

    def in_order(self) -> tf.data.Dataset:
        """Every image once, in reading order."""
        return self.stream()

    def shuffled(self, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        """Every image once, in an order that (seed, epoch) alone decide.

        Where references are not listed, images change places within 8,192 neighbours.
        """
        if self.listed is None:
            buffer = min(self.count, SHUFFLE_BUFFER)
            return _shuffled(self.stream(), buffer, seed, epoch)
        labels, references = self.listed
        key = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
        order = tf.random.experimental.stateless_shuffle(
            tf.range(self.count, dtype=tf.int64), seed=key
        )
        # looked up by the block: a call of a function for each image costs more
        blocks = tf.data.Dataset.from_tensor_slices(order).batch(LOOKUP_BLOCK)
        return blocks.map(
            lambda i: (i, tf.gather(labels, i), tf.gather(references, i))
        ).unbatch()


@dataclass(frozen=True)
class Dataset:
    """Splits with the names of their classes.

    kind: decides the defaults of training options that are left open.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split | None = None
    kind: Literal["digits", "photos"] = "photos"

    def split(self, name: str) -> Split:
        """The split train, validation or test. Raises UserError if there is none."""
        splits = {
            "train": self.train, "validation": self.validation, "test": self.test
        }  # fmt: skip
        present = {key: split for key, split in splits.items() if split is not None}
        if name not in present:
            raise unknown_choice(f"a split of {self.name}", name, present)
        return present[name]


def _shuffled(
    dataset: tf.data.Dataset, buffer: int, seed: int, epoch: tf.Tensor
) -> tf.data.Dataset:
    """Dataset.shuffle, but with a tensor for a seed and blind to the global seed."""
    spec = dataset.element_spec
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=buffer,
        seed=tf.constant(seed + 1, tf.int64),  # two zeros would mean "at random"
        seed2=tf.cast(epoch, tf.int64),
        output_types=[x.dtype for x in spec],
        output_shapes=[x.shape for x in spec],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, spec)


def listed_split(
    references: Sequence[str] | Sequence[bytes],
    labels: Sequence[int],
    load: Callable[[tf.Tensor], tf.Tensor],
) -> Split:
    """A split whose references are all in memory: paths, or small encoded images."""
    pair = (
        tf.constant(np.asarray(labels, np.int64)),
        tf.constant(list(references), tf.string),
    )

    def stream() -> tf.data.Dataset:
        index = tf.data.Dataset.range(len(labels))
        return index.map(lambda i: (i, pair[0][i], pair[1][i]))

    return Split(len(labels), stream, load, listed=pair)
