"""Opens folders of class folders, with or without train/, validation/ and test/."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from googlenet_keras.data.checks import check_files, log_problems, problems_by_file
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


Files: TypeAlias = dict[str, list[Path]]
"""The files of each class."""


def open_folder(root: Path, validation_fraction: float) -> Dataset:
    """Opens the data set in the folder `root`; see `open_dataset`."""
    (train, validation, test), upright = _read_splits(root)
    if not validation:
        top = root / "train" if (root / "train").is_dir() else root
        train, validation = _divide(train, validation_fraction, top)
    names = tuple(train)
    return Dataset(
        root.resolve().name,
        names,
        _file_split(train, names, upright),
        _file_split(validation, names, upright),
        _file_split(test, names, upright) if test else None,
    )


def _read_splits(root: Path) -> tuple[tuple[Files, Files, Files], bool]:
    """Returns the files of the splits, and whether all of them are upright JPEGs.

    A split without a folder is empty.
    """
    if not (root / "train").is_dir():
        files = _files_by_class(root)
        _refuse_split_names(root, files)
        (train,), upright = _leave_out_broken(root, (files,))
        _check_classes(root, train)
        return (train, {}, {}), upright
    validations = [root / name for name in VALIDATION_NAMES if (root / name).is_dir()]
    tests = [root / "test"] if (root / "test").is_dir() else []
    folders = [root / "train", *validations[:1], *tests]
    splits = tuple(map(_files_by_class, folders))
    (train, *others), upright = _leave_out_broken(root, splits)
    _check_classes(root / "train", train)
    for folder, files in zip(folders[1:], others, strict=True):
        _check_known(folder, files, train)
    validation = others.pop(0) if validations else {}
    return (train, validation, others[0] if tests else {}), upright


def files_by_label(root: Path) -> Files:
    """Every file of each class folder of `root`, broken ones included.

    If `root` has a train/, the labels are "train/cat", "test/cat" and so on.
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


def _leave_out_broken(
    root: Path, splits: tuple[Files, ...]
) -> tuple[tuple[Files, ...], bool]:
    """Drops broken files; also returns whether all others are upright JPEGs."""
    paths = [path for files in splits for ps in files.values() for path in ps]
    checks = check_files(root, paths)
    broken = problems_by_file(checks)
    log_problems(broken, len(paths))
    whole = tuple(
        {name: [p for p in ps if p not in broken] for name, ps in files.items()}
        for files in splits
    )
    return whole, all(x.upright_jpeg for p, x in checks.items() if p not in broken)


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


def _divide(files: Files, fraction: float, root: Path) -> tuple[Files, Files]:
    """Splits each class by a hash of the file names, the same on every machine."""
    train: Files = {}
    validation: Files = {}
    for name, paths in files.items():
        if len(paths) < 2:
            raise UserError(
                f"a class needs at least two images to be split into training and "
                f"validation; {root / name} has {len(paths)}."
            )
        mixed = sorted(paths, key=lambda path: _hash(path.relative_to(root)))
        count = min(max(round(len(paths) * fraction), 1), len(paths) - 1)
        train[name], validation[name] = sorted(mixed[count:]), sorted(mixed[:count])
    return train, validation


def _hash(path: Path) -> bytes:
    return hashlib.sha256(os.fsencode(path.as_posix())).digest()


def _file_split(files: Files, names: Sequence[str], upright: bool) -> Split:
    paths = [path for name in names for path in files.get(name, ())]
    counts = [len(files.get(name, ())) for name in names]
    split = listed_split(
        list(map(os.fsencode, paths)),
        np.repeat(np.arange(len(names)), counts).tolist(),
        tf.io.read_file,
    )
    return replace(
        split,
        files=tuple(paths),
        content=UPRIGHT_JPEG if upright else ENCODED,
        class_counts=tuple(counts),
    )


def files_below(folder: Path) -> list[Path]:
    """Every file below `folder`, sorted, without hidden files and folders."""
    files = (path for path in folder.rglob("*") if path.is_file())
    parts = ((path, path.relative_to(folder).parts) for path in files)
    return sorted(p for p, names in parts if not any(n.startswith(".") for n in names))
