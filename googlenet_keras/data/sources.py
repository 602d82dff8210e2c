"""Where images come from: digits, a folder, TFDS; one shape for all of them.

A Split gives (index, label, reference) in reading order or shuffled, and turns a
reference into an encoded image: that part runs in parallel, after the shuffling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from googlenet_keras.data.checks import examine, problems, warn_of_problems
from googlenet_keras.errors import UserError, unknown

ENCODED, UPRIGHT_JPEG, PIXELS = "encoded", "upright jpeg", "pixels"
SHUFFLE_BUFFER = 8192  # encoded images held where a source has no random access
VALIDATION_NAMES = ("validation", "val", "valid")
SPLIT_NAMES = (*VALIDATION_NAMES, "training", "test", "testing")
DIGITS_PART = 300  # digits kept for validation, and as many for the test


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
    these, a class without images and fewer than two classes. Files that are no whole
    images are left out and named on stderr.
    """
    if name == "digits":
        return _digits()
    if name and _is_folder(name):
        return _folder(Path(name).expanduser(), validation_fraction)
    if not name or name.startswith((".", "~", "/")):
        raise UserError(f"no such folder: {name}.")
    from googlenet_keras.data.tfds_source import open_tfds

    return open_tfds(name, validation_fraction, data_dir, download)


def files_below(folder: Path) -> list[Path]:
    """Every file in `folder` and its folders, hidden ones left out, sorted."""
    found = (path for path in folder.rglob("*") if path.is_file())
    parts = ((path, path.relative_to(folder).parts) for path in found)
    return sorted(p for p, names in parts if not any(n.startswith(".") for n in names))


def _is_folder(name: str) -> bool:
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, RuntimeError):  # a name too long, an unknown ~user
        return False


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


def _digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    encoded = [tf.io.encode_png(image).numpy() for image in pixels]
    names = tuple(str(i) for i in range(10))

    def part(indices) -> Split:
        chosen = [encoded[i] for i in indices]
        labels = digits.target[indices]
        counts = tuple(map(int, np.bincount(labels, minlength=len(names))))
        return replace(listed_split(chosen, labels, tf.identity), class_counts=counts)

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
    parts, upright = _parts(root)
    train, validation, test = parts
    if not validation:
        top = root / "train" if (root / "train").is_dir() else root
        train, validation = _divided(train, validation_fraction, top)
    names = tuple(train)
    return Dataset(
        root.resolve().name,
        names,
        _file_split(train, names, upright),
        _file_split(validation, names, upright),
        _file_split(test, names, upright) if test else None,
        PHOTOS,
    )


Files = dict[str, list[Path]]
"""The files of each class."""


def _parts(root: Path) -> tuple[tuple[Files, Files, Files], bool]:
    """Training, validation and test files; whether all are JPEGs that are upright.

    A part that has no folder is empty.
    """
    if not (root / "train").is_dir():
        files = _files_by_class(root)
        _refuse_split_names(root, files)
        (train,), upright = _whole((files,))
        _check_classes(root, train)
        return (train, {}, {}), upright
    folders = [root / name for name in VALIDATION_NAMES if (root / name).is_dir()]
    tests = [root / "test"] if (root / "test").is_dir() else []
    used = [root / "train", *folders[:1], *tests]
    (train, *others), upright = _whole(tuple(map(_files_by_class, used)))
    _check_classes(root / "train", train)
    for folder, files in zip(used[1:], others, strict=True):
        _check_known(folder, files, train)
    validation = others.pop(0) if folders else {}
    return (train, validation, others[0] if tests else {}), upright


def files_by_label(root: Path) -> Files:
    """Every file of each class folder of `root`, broken ones too.

    Where there is a train/, the labels are "train/cat", "test/cat" and so on.
    """
    if not (root / "train").is_dir():
        return _files_by_class(root)
    splits = ("train", *VALIDATION_NAMES, "test")
    return {
        f"{split}/{label}": files
        for split in splits
        if (root / split).is_dir()
        for label, files in _files_by_class(root / split).items()
    }


def _whole(parts: tuple[Files, ...]) -> tuple[tuple[Files, ...], bool]:
    """The same without the files that are no whole images, which are named.

    And whether all others are JPEGs that need no turning.
    """
    paths = [path for part in parts for files in part.values() for path in files]
    examined = examine(paths)
    broken = problems(examined)
    warn_of_problems(broken, len(paths))
    whole = tuple(
        {name: [p for p in files if p not in broken] for name, files in part.items()}
        for part in parts
    )
    return whole, all(x.upright_jpeg for p, x in examined.items() if p not in broken)


def _files_by_class(root: Path) -> Files:
    folders = sorted(p for p in root.iterdir() if p.is_dir())
    visible = (p for p in folders if not p.name.startswith("."))
    return {folder.name: files_below(folder) for folder in visible}


def _refuse_split_names(root: Path, names: Iterable[str]) -> None:
    splits = [n for n in names if n.lower() in SPLIT_NAMES]
    if splits:
        raise UserError(
            "a folder holds class folders, or train/ with validation/ (or val/) and "
            f"test/ beside it; {root} has {', '.join(splits)} but no train."
        )


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


def _check_known(root: Path, files: Files, train: Iterable[str]) -> None:
    if not any(files.values()):
        raise UserError(
            f"{root} needs class folders with images, or must not be there."
        )
    for name, paths in files.items():
        if paths and name not in train:
            raise UserError(
                f"every class needs training images; {root} has a class {name!r} that "
                "train/ does not."
            )


def _divided(files: Files, fraction: float, root: Path) -> tuple[Files, Files]:
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


def _file_split(files: Files, names: Sequence[str], upright: bool) -> Split:
    pairs = [(path, names.index(name)) for name in files for path in files[name]]
    paths, labels = [p for p, _ in pairs], [label for _, label in pairs]
    references = list(map(str, paths))
    split = listed_split(references, labels, tf.io.read_file)
    content = UPRIGHT_JPEG if upright else ENCODED
    counts = np.bincount(labels, minlength=len(names))
    return replace(
        split,
        files=tuple(paths),
        content=content,
        class_counts=tuple(map(int, counts)),
    )
