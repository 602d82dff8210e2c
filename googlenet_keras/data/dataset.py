"""Splits of labeled images, whatever their source."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import numpy as np
import tensorflow as tf

from googlenet_keras.console import printable
from googlenet_keras.errors import UserError, unknown_choice_error

ENCODED, UPRIGHT_JPEG, PIXELS = "encoded", "upright jpeg", "pixels"
SHUFFLE_BUFFER = 8192  # encoded images, for sources without random access
LOOKUP_BLOCK_SIZE = 256  # references at a time
MAX_LISTED_CLASSES = 5  # in a message

# AutoGraph would take seconds to rewrite all functions within one that tf.data calls
without_autograph = tf.autograph.experimental.do_not_convert
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """The labeled images of one split: training, validation or test.

    in_order: makes a tf.data.Dataset of (index, label, reference) in reading order.
    load: reference to image, a TensorFlow function that runs in parallel, after the
    shuffling. class_counts: images of each class, if the source knows them. listed:
    (labels, references) if they are all in memory, so that any order costs nothing.
    files: the image files, if there are any. fingerprint: a digest of what the images
    contain, in reading order, if the source knows it.
    content: what `load` gives: "encoded" bytes, "upright jpeg" if all are known to be
    JPEGs that are stored upright, or "pixels", [h, w, 3] uint8.
    """

    count: int
    in_order: Callable[[], tf.data.Dataset]
    load: Callable[[tf.Tensor], tf.Tensor]
    class_counts: tuple[int, ...] | None = None
    listed: tuple[tf.Tensor, tf.Tensor] | None = None
    files: tuple[Path, ...] = ()
    fingerprint: str = ""
    content: str = ENCODED

    def shuffled(self, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        """Every image once, in an order that depends on (seed, epoch) alone.

        References that are not `listed` are shuffled within a buffer of 8,192.
        """
        if self.listed is None:
            dataset = self.in_order()
            spec = dataset.element_spec
            # unlike Dataset.shuffle's, its seed is a tensor and not the global one's
            shuffled = tf.raw_ops.ShuffleDataset(
                input_dataset=tf.data.experimental.to_variant(dataset),
                buffer_size=min(self.count, SHUFFLE_BUFFER),
                # two zeros would mean "at random"
                seed=tf.constant(seed + 1, tf.int64),
                seed2=tf.cast(epoch, tf.int64),
                output_types=[x.dtype for x in spec],
                output_shapes=[x.shape for x in spec],
                reshuffle_each_iteration=False,
            )
            return tf.data.experimental.from_variant(shuffled, spec)
        labels, references = self.listed
        key = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
        indices = tf.range(self.count, dtype=tf.int64)
        order = tf.random.experimental.stateless_shuffle(indices, seed=key)
        # looked up in blocks: a function call for each image costs more
        blocks = tf.data.Dataset.from_tensor_slices(order).batch(LOOKUP_BLOCK_SIZE)

        def look_up(i: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return i, tf.gather(labels, i), tf.gather(references, i)

        return blocks.map(without_autograph(look_up)).unbatch()


@dataclass(frozen=True)
class Dataset:
    """Splits with the names of their classes.

    kind: decides the defaults of training options that are left open. none: pictures of
    none of the classes for training; their label is one beyond the last class.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split | None = None
    kind: Literal["digits", "photos"] = "photos"
    none: Split | None = None

    def split(self, name: str) -> Split:
        """The split "train", "validation" or "test". Raises UserError if missing."""
        splits = {x: getattr(self, x) for x in ("train", "validation", "test")}
        known = [x for x, split in splits.items() if split and split.count]
        if name not in known:
            raise unknown_choice_error(f"a split of {self.name}", name, known)
        return splits[name]


def match_names(names: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """The place of each name in `known`; None for one that is not there.

    Texts that look the same may be composed (NFC) or, on macOS, decomposed (NFD).
    """
    places = {normalize("NFC", name): i for i, name in enumerate(known)}
    places |= {name: i for i, name in enumerate(known)}
    return [places.get(x, places.get(normalize("NFC", x))) for x in names]


def unknown_names(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """The names that are not in `known`, compared as `match_names` does."""
    places = zip(names, match_names(names, known), strict=True)
    return [name for name, place in places if place is None]


def list_names(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    more = len(names) - MAX_LISTED_CLASSES
    rest = f" and {more} more" if more > 0 else ""
    return ", ".join(map(printable, names[:MAX_LISTED_CLASSES])) + rest


def warn_of_missing_classes(
    split: str, names: Sequence[str], counts: Sequence[int]
) -> None:
    """Logs the classes of which a split has no image; counts: images of each class."""
    missing = [name for name, count in zip(names, counts, strict=True) if not count]
    if missing:
        log.warning(
            f"no {split} images of {len(missing)} of the {len(names)} classes, so that "
            f"no figure tells how well they are known: {list_names(missing)}"
        )


def check_labels(labels: Sequence[str]) -> None:
    """Raises UserError for a label that does not fit on a line of a text file."""
    for label in labels:
        # a file name that is not UTF-8 has halves of surrogate pairs, lost here
        if label.encode(errors="ignore").decode().splitlines() != [label]:
            raise UserError(
                f"a label must be one line of UTF-8 text; received {label!r}. "
                "Rename its class folder and train again."
            )


def listed_split(
    references: Sequence[str] | Sequence[bytes],
    labels: Sequence[int],
    load: Callable[[tf.Tensor], tf.Tensor],
    **details: Any,
) -> Split:
    """A split whose references are all in memory: paths, or small encoded images.

    details: other fields of the Split.
    """
    label = tf.constant(np.asarray(labels, np.int64))
    reference = tf.constant(list(references), tf.string)
    indices = tf.data.Dataset.range(len(labels))
    dataset = indices.map(without_autograph(lambda i: (i, label[i], reference[i])))
    listed = (label, reference)
    return Split(len(labels), lambda: dataset, load, listed=listed, **details)
