"""Folders of class folders, with or without train/, validation/, test/ above them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from googlenet_keras.data.checks import (
    check_files,
    log_problems,
    problems_by_file,
)
from googlenet_keras.data.dataset import (
    ENCODED,
    UPRIGHT_JPEG,
    Dataset,
    Split,
    listed_split,
)
from googlenet_keras.errors import UserError

VALIDATION_NAMES = ("validation", "val", "valid")
SPLIT_NAMES = (*VALIDATION_NAMES, "training", "test", "testing")


def open_folder(root: Path, validation_fraction: float) -> Dataset:
    """The data set in the folder `root`; see `open_dataset`."""
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
        (train,), upright = _whole(root, (files,))
        _check_classes(root, train)
        return (train, {}, {}), upright
    folders = [root / name for name in VALIDATION_NAMES if (root / name).is_dir()]
    tests = [root / "test"] if (root / "test").is_dir() else []
    used = [root / "train", *folders[:1], *tests]
    (train, *others), upright = _whole(root, tuple(map(_files_by_class, used)))
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


def _whole(root: Path, parts: tuple[Files, ...]) -> tuple[tuple[Files, ...], bool]:
    """The same without the files that are no whole images, which are named.

    And whether all others are JPEGs that need no turning.
    """
    paths = [path for part in parts for files in part.values() for path in files]
    examined = check_files(root, paths)
    broken = problems_by_file(examined)
    log_problems(broken, len(paths))
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
    return hashlib.sha256(os.fsencode(path.as_posix())).digest()


def _file_split(files: Files, names: Sequence[str], upright: bool) -> Split:
    pairs = [(path, n) for n, name in enumerate(names) for path in files.get(name, ())]
    paths, labels = [p for p, _ in pairs], [label for _, label in pairs]
    references = list(map(os.fsencode, paths))
    split = listed_split(references, labels, tf.io.read_file)
    content = UPRIGHT_JPEG if upright else ENCODED
    counts = np.bincount(labels, minlength=len(names))
    return replace(
        split,
        files=tuple(paths),
        content=content,
        class_counts=tuple(map(int, counts)),
    )


def files_below(folder: Path) -> list[Path]:
    """Every file in `folder` and its folders, hidden ones left out, sorted."""
    found = (path for path in folder.rglob("*") if path.is_file())
    parts = ((path, path.relative_to(folder).parts) for path in found)
    return sorted(p for p, names in parts if not any(n.startswith(".") for n in names))
