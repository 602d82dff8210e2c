"""Opens folders of class folders, with or without train/, validation/ and test/."""

import hashlib
import os
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from googlenet_keras.data.checks import check_files, log_problems
from googlenet_keras.data.dataset import UPRIGHT_JPEG, Dataset, Split, listed_split
from googlenet_keras.errors import UserError

VALIDATION_FOLDERS = ("validation", "val", "valid")
SPLIT_FOLDERS = ("train", *VALIDATION_FOLDERS, "test")
MISLEADING_NAMES = (*SPLIT_FOLDERS[1:], "training", "testing")

Files: TypeAlias = dict[str, list[Path]]  # the files of each class


def open_folder(root: Path, validation_fraction: float) -> Dataset:
    """Opens the data set in the folder `root`; see `open_dataset`."""
    folders = _split_folders(root)
    splits = {name: _files_by_class(folder) for name, folder in folders.items()}
    every = [p for files in splits.values() for paths in files.values() for p in paths]
    checks = check_files(root, every)
    log_problems({p: x.problem for p, x in checks.items() if x.problem}, len(every))
    for files in splits.values():
        for label, paths in files.items():
            files[label] = [path for path in paths if not checks[path].problem]
    _check_splits(folders, splits)
    if "validation" not in splits:
        splits |= _divide(splits["train"], validation_fraction, folders["train"])
    upright = all(x.upright_jpeg for x in checks.values() if not x.problem)
    content, labels = UPRIGHT_JPEG if upright else Split.content, tuple(splits["train"])
    opened = {n: _file_split(files, labels, content) for n, files in splits.items()}
    name, test = root.resolve().name, opened.get("test")
    return Dataset(name, labels, opened["train"], opened["validation"], test)


def _split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split; `root` itself is "train" if it has no train/."""
    folders: dict[str, Path] = {}
    for name in SPLIT_FOLDERS:
        if (root / name).is_dir():
            split = "validation" if name in VALIDATION_FOLDERS else name
            folders.setdefault(split, root / name)
    if "train" in folders:
        return folders
    names = sorted(path.name for path in root.iterdir() if path.is_dir())
    if misleading := [name for name in names if name.lower() in MISLEADING_NAMES]:
        raise UserError(
            "a folder holds class folders, or train/ with validation/ (or val/) and "
            f"test/ beside it; {root} has {', '.join(misleading)} but no train."
        )
    return {"train": root}


def files_by_label(root: Path) -> Files:
    """Every file of each class folder of `root`, broken ones included.

    If `root` has a train/, the labels are "train/cat", "test/cat" and so on.
    """
    if not (root / "train").is_dir():
        return _files_by_class(root)
    return {
        f"{split}/{label}": files
        for split in SPLIT_FOLDERS
        if (root / split).is_dir()
        for label, files in _files_by_class(root / split).items()
    }


def _files_by_class(root: Path) -> Files:
    folders = sorted(p for p in root.iterdir() if p.is_dir())
    return {p.name: files_below(p) for p in folders if not p.name.startswith(".")}


def files_below(folder: Path) -> list[Path]:
    """Every file below `folder`, sorted, without hidden files and folders."""
    files = (path for path in folder.rglob("*") if path.is_file())
    parts = ((path, path.relative_to(folder).parts) for path in files)
    return sorted(p for p, names in parts if not any(n.startswith(".") for n in names))


def _check_splits(folders: dict[str, Path], splits: dict[str, Files]) -> None:
    root, train = folders["train"], splits["train"]
    if len(train) < 2:
        raise UserError(
            "a data set needs at least two class folders with images; "
            f"{root} has {', '.join(train) or 'none'}."
        )
    if empty := [name for name, paths in train.items() if not paths]:
        raise UserError(
            f"every class folder needs an image; {root} has none in "
            f"{', '.join(empty[:5])}. Add images or remove the folder."
        )
    for split, folder in folders.items():
        present = [name for name, paths in splits[split].items() if paths]
        if not present:
            raise UserError(f"{folder} needs class folders with images, or must go.")
        if unknown := [name for name in present if name not in train]:
            raise UserError(
                f"every class needs training images; {folder} has a class "
                f"{unknown[0]!r} that train/ does not."
            )


def _divide(files: Files, fraction: float, root: Path) -> dict[str, Files]:
    """Splits each class by a hash of the file names, the same on every machine."""

    def digest(path: Path) -> bytes:
        return hashlib.sha256(os.fsencode(path.relative_to(root).as_posix())).digest()

    splits: dict[str, Files] = {"train": {}, "validation": {}}
    for name, paths in files.items():
        if len(paths) < 2:
            raise UserError(
                f"a class needs at least two images to be split into training and "
                f"validation; {root / name} has {len(paths)}."
            )
        mixed = sorted(paths, key=digest)
        count = min(max(round(len(paths) * fraction), 1), len(paths) - 1)
        splits["train"][name] = sorted(mixed[count:])
        splits["validation"][name] = sorted(mixed[:count])
    return splits


def _file_split(files: Files, labels: tuple[str, ...], content: str) -> Split:
    classes = [files.get(label, []) for label in labels]
    counts = tuple(map(len, classes))
    paths = tuple(path for paths in classes for path in paths)
    return listed_split(
        list(map(os.fsencode, paths)),
        np.repeat(np.arange(len(counts)), counts).tolist(),
        tf.io.read_file,
        class_counts=counts,
        files=paths,
        content=content,
    )
