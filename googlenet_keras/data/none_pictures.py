"""Pictures of none of the classes, which a network learns to refuse.

Each training batch has some of them in addition to its images of the classes. Their
class number is one beyond the last, that of an output that no label has.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from googlenet_keras.console import printable
from googlenet_keras.data.checks import check_files, log_problems
from googlenet_keras.data.dataset import (
    UPRIGHT_JPEG,
    Split,
    listed_split,
    without_autograph,
)
from googlenet_keras.data.folder_source import files_below
from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user

IMAGES_PER_NONE_PICTURE = 2  # images of the classes in a batch


def none_count(batch_size: int, replicas: int = 1) -> int:
    """Number of none pictures beside a batch of `batch_size` images of the classes.

    Each replica has half as many as images, rounded down, but at least one.
    """
    return replicas * max(batch_size // replicas // IMAGES_PER_NONE_PICTURE, 1)


def open_none_folder(folder: Path | str, dataset: str, label: int = 0) -> Split:
    """Opens the pictures below `folder`, in any folders, as a split.

    Broken files are left out, with a warning. dataset: the name of that of the classes,
    as for `open_dataset`. label: the class number that training gives to the pictures.
    Raises UserError without a readable picture, and if `dataset` is a folder that has
    pictures in common.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):  # raises nothing, such as for a name too long
        problem = "is a file" if os.path.isfile(folder) else "does not exist"
        raise UserError(
            "--none needs a folder of pictures of none of the classes; "
            f"{printable(folder)} {problem}."
        )
    if dataset != "digits" and os.path.isdir(expand_user(dataset)):
        _check_apart(folder.resolve(), expand_user(dataset).resolve())
    found = files_below(folder)
    checks = check_files(folder, found)
    log_problems({p: x.problem for p, x in checks.items() if x.problem}, len(found))
    files = tuple(path for path in found if not checks[path].problem)
    if not files:
        raise UserError(
            f"--none needs a picture that can be read; {printable(folder)} has none in "
            f"{len(found)} files. Add pictures, or leave --none out."
        )
    digests = "".join(checks[path].digest for path in files)
    upright = all(checks[path].upright_jpeg for path in files)
    return listed_split(
        list(map(os.fsencode, files)),
        [label] * len(files),
        tf.io.read_file,
        files=files,
        fingerprint=hashlib.sha256(digests.encode()).hexdigest(),
        content=UPRIGHT_JPEG if upright else Split.content,
    )


def _check_apart(folder: Path, dataset_folder: Path) -> None:
    inside = folder.is_relative_to(dataset_folder)
    if inside or dataset_folder.is_relative_to(folder):
        raise UserError(
            "no picture may be of a class and of none; the folder of --none, "
            f"{printable(folder)}, and that of the data set, "
            f"{printable(dataset_folder)}, are the same or one is in the other. Move "
            "one of them."
        )


def endless(split: Split, seed: int, first: int) -> tf.data.Dataset:
    """A dataset of (index, label, reference) without end, from the `first`-th on.

    Every image comes once before any comes again, each time in another order. The order
    depends on the seed alone, and is not that of `split.shuffled` in any epoch.
    """
    passes, skipped = divmod(first, split.count)
    orders = tf.data.Dataset.range(passes, tf.int64.max).flat_map(
        without_autograph(lambda number: split.shuffled(seed, -1 - number))
    )
    return orders.skip(skipped)


def none_indices(
    split: Split, *, count: int, seed: int, steps_done: int
) -> Sequence[int]:
    """The numbers of the none pictures of one training step.

    count: of none pictures in a step. steps_done: steps before it, of all epochs.
    """
    pictures = endless(split, seed, steps_done * count).take(count)
    return [int(index) for index, *_ in pictures]


def append_none_pictures(batch: tuple, none: tuple[tf.Tensor, tf.Tensor]) -> tuple:
    """Appends (pictures, labels) to a batch: (images, labels by head[, weights]).

    Where the batch's labels are each class's part of an image, a none picture has no
    part of any class: a row of zeros, as are its soft targets. Its weight is 1.
    """
    images, by_head, *weights = batch
    pictures, labels = none

    def extend(known: tf.Tensor) -> tf.Tensor:
        if parts := len(known.shape) - 1:
            return tf.pad(known, [[0, tf.shape(labels)[0]], *[[0, 0]] * parts])
        return tf.concat([known, labels], 0)

    ones = tf.ones_like(labels, tf.float32)
    return (
        tf.concat([images, pictures], 0),
        {head: extend(known) for head, known in by_head.items()},
        *({h: tf.concat([x, ones], 0) for h, x in w.items()} for w in weights),
    )
