"""Where images come from: digits, a folder, TFDS; one shape for all of them.

A Split gives (index, label, reference) in reading order or shuffled, and turns a
reference into an encoded image: that part runs in parallel, after the shuffling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from googlenet_keras.data.checks import refuse_broken
from googlenet_keras.errors import UserError, unknown

SHUFFLE_BUFFER = 8192  # encoded images held where a source has no random access
VALIDATION_NAMES = ("validation", "val", "valid")
DIGITS_PART = 300  # digits kept for validation, and as many for the test


@dataclass(frozen=True)
class Split:
    """Labelled images of one purpose.

    stream: () to a tf.data.Dataset of (index, label, reference) in reading order.
    load: reference to encoded bytes, as a TensorFlow function. class_counts: images of
    each class where the source knows them. random_access: whether references are cheap,
    so that shuffling is complete.
    """

    count: int
    stream: Callable[[], tf.data.Dataset]
    load: Callable[[tf.Tensor], tf.Tensor]
    class_counts: tuple[int, ...] | None = None
    references: tuple[tf.Tensor, tf.Tensor] | None = None

    def in_order(self) -> tf.data.Dataset:
        """Every image once, in reading order."""
        return self.stream()

    def shuffled(self, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        """Every image once, in an order that (seed, epoch) alone decide."""
        if self.references is None:
            buffer = min(self.count, SHUFFLE_BUFFER)
            order = tf.cast(epoch, tf.int64) + seed * 1_000_003
            return self.stream().shuffle(
                buffer, seed=order, reshuffle_each_iteration=False
            )
        labels, references = self.references
        key = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
        order = tf.random.experimental.stateless_shuffle(
            tf.range(self.count, dtype=tf.int64), seed=key
        )
        return tf.data.Dataset.from_tensor_slices(order).map(
            lambda i: (i, labels[i], references[i])
        )


@dataclass(frozen=True)
class Dataset:
    """Splits with the names of their classes.

    defaults: values for options that suit this data where the user gave none.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def split(self, name: str) -> Split:
        """The split train, validation or test. Raises UserError if there is none."""
        splits = {
            "train": self.train, "validation": self.validation, "test": self.test
        }  # fmt: skip
        present = {key: split for key, split in splits.items() if split is not None}
        if name not in present:
            raise unknown(f"a split of {self.name}", name, present)
        return present[name]


PHOTOS = {
    "image_size": (224,),
    "epochs": 25,
    "crop_area": 0.25,
    "mirror": "on",
    "crop_fraction": 0.875,
}
DIGITS = {
    "image_size": (64,),
    "epochs": 12,
    "crop_area": 0.7,
    "mirror": "off",
    "crop_fraction": 1.0,
}


def open_dataset(
    name: str,
    *,
    validation_fraction: float = 0.2,
    data_dir: Path | None = None,
    download: bool = False,
) -> Dataset:
    """The data set `name`: "digits", a folder of class folders, or one of TFDS's.

    A folder has class folders in train/, validation/ or val/ and, optionally, test/; or
    class folders alone, of which `validation_fraction` of each class is kept for
    validation, the same files every time. Raises UserError for a name that is none of
    these, a class without images, fewer than two classes and files that are no images.
    """
    if name == "digits":
        return _digits()
    if Path(name).expanduser().is_dir():
        return _folder(Path(name).expanduser(), validation_fraction)
    if Path(name).name != name or name.startswith((".", "~")):
        raise UserError(f"no such folder: {name}.")
    from googlenet_keras.data.tfds_source import open_tfds

    return open_tfds(name, validation_fraction, data_dir, download)


def listed_split(
    references: Sequence[str] | Sequence[bytes],
    labels: Sequence[int],
    classes: int,
    load: Callable[[tf.Tensor], tf.Tensor],
) -> Split:
    """A split whose references are all in memory: paths, or small encoded images."""
    pair = (
        tf.constant(np.asarray(labels, np.int64)),
        tf.constant(list(references), tf.string),
    )
    counts = np.bincount(np.asarray(labels, np.int64), minlength=classes)

    def stream() -> tf.data.Dataset:
        index = tf.data.Dataset.range(len(labels))
        return index.map(lambda i: (i, pair[0][i], pair[1][i]))

    return Split(len(labels), stream, load, tuple(map(int, counts)), pair)


def _digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    encoded = [tf.io.encode_png(image).numpy() for image in pixels]
    names = tuple(str(i) for i in range(10))

    def part(indices) -> Split:
        chosen = [encoded[i] for i in indices]
        return listed_split(chosen, digits.target[indices], len(names), tf.identity)

    everything = np.arange(len(encoded))
    rest, test = train_test_split(
        everything, test_size=DIGITS_PART, random_state=0, stratify=digits.target
    )
    train, validation = train_test_split(
        rest, test_size=DIGITS_PART, random_state=0, stratify=digits.target[rest]
    )
    return Dataset(
        "digits", names, part(train), part(validation), part(test), DIGITS
    )  # fmt: skip


def _folder(root: Path, validation_fraction: float) -> Dataset:
    train_root = root / "train" if (root / "train").is_dir() else root
    train = _files_by_class(train_root)
    names = tuple(train)
    found = [root / n for n in VALIDATION_NAMES if (root / n).is_dir()]
    if train_root is root:
        found, test = [], {}
    else:
        test = _files_by_class(root / "test") if (root / "test").is_dir() else {}
    validation = _files_by_class(found[0]) if found else {}
    _check_classes(train_root, train)
    for part in (validation, test):
        _check_known(names, part)
    refuse_broken([p for part in (train, validation, test) for ps in part.values()
                   for p in ps])  # fmt: skip
    if not validation:
        train, validation = _divided(train, validation_fraction, train_root)
    return Dataset(
        root.resolve().name,
        names,
        _file_split(train, names),
        _file_split(validation, names),
        _file_split(test, names) if test else None,
        PHOTOS,
    )


def _files_by_class(root: Path) -> dict[str, list[Path]]:
    folders = sorted(p for p in root.iterdir() if p.is_dir() and _visible(p))
    return {
        folder.name: sorted(
            p for p in folder.rglob("*") if p.is_file() and _visible(p)
        )
        for folder in folders
    }  # fmt: skip


def _visible(path: Path) -> bool:
    return not path.name.startswith(".")


def _check_classes(root: Path, files: Mapping[str, Sequence[Path]]) -> None:
    if len(files) < 2:
        raise UserError(
            f"a data set needs at least two class folders with images; {root} has "
            f"{len(files)}" + (f" ({', '.join(files)})." if files else ".")
        )
    empty = [name for name, paths in files.items() if not paths]
    if empty:
        raise UserError(
            f"every class folder needs an image; {root} has none in "
            f"{', '.join(empty[:5])}. Add images or remove the folder."
        )


def _check_known(names: Sequence[str], part: Mapping[str, Sequence[Path]]) -> None:
    for name, paths in part.items():
        if paths and name not in names:
            raise UserError(
                f"every class needs training images; {paths[0].parent} has a class "
                f"{name!r} that train/ does not."
            )


def _divided(
    files: Mapping[str, list[Path]], fraction: float, root: Path
) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Splits each class by a hash of the file's name: the same on every machine."""
    train, validation = {}, {}
    for name, paths in files.items():
        if len(paths) < 2:
            raise UserError(
                f"a class needs at least two images to be split into training and "
                f"validation; {root / name} has {len(paths)}."
            )
        mixed = sorted(paths, key=lambda path: _hash(path.relative_to(root)))
        kept = min(max(round(len(paths) * fraction), 1), len(paths) - 1)
        train[name], validation[name] = sorted(mixed[kept:]), sorted(mixed[:kept])
    return train, validation


def _hash(path: Path) -> bytes:
    return hashlib.sha256(path.as_posix().encode()).digest()


def _file_split(files: Mapping[str, Sequence[Path]], names: Sequence[str]) -> Split:
    pairs = [(str(path), names.index(name)) for name in files for path in files[name]]
    paths, labels = [p for p, _ in pairs], [label for _, label in pairs]
    return listed_split(paths, labels, len(names), tf.io.read_file)
