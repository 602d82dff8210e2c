"""Opens folders of class folders, with or without train/, validation/ and test/."""

import hashlib
import logging
import os
import sys
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias
from unicodedata import normalize

import numpy as np
import tensorflow as tf

from googlenet_keras.console import printable
from googlenet_keras.data.checks import FileCheck, check_files, log_problems
from googlenet_keras.data.dataset import (
    UPRIGHT_JPEG,
    Dataset,
    Split,
    list_names,
    listed_split,
    match_names,
    unknown_names,
)
from googlenet_keras.errors import UserError

SPLITS = ("train", "validation", "test")
SPLIT_FOLDERS = {  # a folder's name, in any case, and the split that it means
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
TOOL_LEFTOVERS = {  # in lower case; hidden ones, such as .DS_Store, are left out too
    *("@eadir", "#recycle", "#snapshot"),  # Synology's thumbnails and bins
    "__macosx",
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin"),
    *("system volume information", "lost+found"),
}
REACHED_TWICE = "there already, by another way"
MAX_LISTED_PATHS = 10

Files: TypeAlias = dict[str, list[Path]]  # the files of each class
LeftOut: TypeAlias = dict[Path, str]  # why a file or folder is left out

log = logging.getLogger(__name__)


def open_folder(root: Path, validation_fraction: float, divide: bool = True) -> Dataset:
    """Opens the data set in the folder `root`; see `open_dataset`."""
    left_out: LeftOut = {}
    folders = _split_folders(root, left_out) or {"train": root}
    splits = {name: _files_by_class(f, left_out) for name, f in folders.items()}
    _log_left_out(left_out)
    checks = _remove_broken_files(root, splits)
    if divide:
        _check_splits(root, folders, splits)
        labels = tuple(splits["train"])
        if "validation" not in splits:
            splits |= _divide(splits["train"], validation_fraction, folders["train"])
    else:
        labels = _present_labels(root, splits)
        if folders == {"train": root}:
            splits = dict.fromkeys(SPLITS, splits["train"])
            count = sum(map(len, splits["train"].values()))
            shown = printable(root)
            log.info("%s has no split folders: all %d images are used", shown, count)
    upright = all(x.upright_jpeg for x in checks.values())
    content = UPRIGHT_JPEG if upright else Split.content
    train, validation, test = (
        _file_split(splits.get(name, {}), labels, checks, content) for name in SPLITS
    )
    return Dataset(_name(root), labels, train, validation, test if test.count else None)


def _split_folders(root: Path, left_out: LeftOut) -> dict[str, Path]:
    """The folder of each split, in their order; {} if `root` holds class folders.

    A folder named like the training split that holds nothing but images, alone among
    class folders, is a class. Raises UserError for two folders of one split.
    """
    named: dict[str, list[Path]] = defaultdict(list)
    for entry in _entries(root, left_out):
        split = SPLIT_FOLDERS.get(entry.name.lower(), "") if entry.is_dir() else ""
        named[split].append(Path(entry))
    others = named.pop("", [])
    for split, paths in named.items():
        if len(paths) > 1:
            raise UserError(
                f"each split has one folder; {root} has "
                f"{' and '.join(path.name for path in paths)}, which both mean "
                f"{split}. Merge them, or move one away."
            )
    folders = {split: named[split][0] for split in SPLITS if split in named}
    if [*folders] == ["train"]:
        inside = _entries(folders["train"], {})
        if not any(entry.is_dir() for entry in inside):
            return {}
    if folders:
        left_out.update(dict.fromkeys(others, "in no split folder"))
    return folders


def files_by_label(root: Path) -> Files:
    """Every file of each class folder of `root`, broken ones included.

    If `root` has split folders, the labels are "train/cat", "test/cat" and so on.
    """
    left_out: LeftOut = {}
    folders = _split_folders(root, left_out)
    if "train" not in folders and any(path.is_dir() for path in left_out):
        folders, left_out = {}, {}  # no data set yet, all of which is to be checked
    files = _files_by_class(root, left_out) if not folders else {}
    for folder in folders.values():
        for label, paths in _files_by_class(folder, left_out).items():
            files[f"{folder.name}/{normalize('NFC', label)}"] = paths
    _log_left_out(left_out)
    return files


def _files_by_class(root: Path, left_out: LeftOut) -> Files:
    files: Files = {}
    for entry in _entries(root, left_out):
        if not entry.is_dir():
            left_out[Path(entry)] = "in no class folder"
            continue
        # whatever the locale, a name is UTF-8
        label = os.fsencode(entry.name).decode("utf-8", "surrogateescape")
        (twin,) = match_names([label], list(files))
        if twin is not None:
            raise UserError(
                f"class folders need names that look different; {root} has "
                f"{label!a} and {list(files)[twin]!a}, two spellings in Unicode of the "
                "same text. Merge them."
            )
        files[label] = _walk(Path(entry), left_out)
    return files


def files_below(folder: Path) -> list[Path]:
    """Every file below `folder`, sorted, without hidden ones and what tools leave.

    Links are followed; what is reached twice counts once. What else is left out is
    logged.
    """
    left_out: LeftOut = {}
    files = _walk(folder, left_out)
    _log_left_out(left_out)
    return files


def _walk(top: Path, left_out: LeftOut) -> list[Path]:
    files: list[Path] = []
    folders = [top]
    links: deque[Path] = deque()  # visited last, so that what they lead to is known
    base = Path(os.path.realpath(top))
    seen: set[str] = set()
    while folders or links:
        path = folders.pop() if folders else links.popleft()
        real = os.path.realpath(path)
        if real in seen or (path != top and base.is_relative_to(real)):
            left_out[path] = REACHED_TWICE
            continue
        seen.add(real)
        if path.is_file():
            files.append(path)
            continue
        for entry in _entries(path, left_out):
            place = os.path.join(real, entry.name)
            if entry.is_symlink():
                links.append(Path(entry))
            elif entry.is_dir():
                folders.append(Path(entry))
            elif place in seen:
                left_out[Path(entry)] = REACHED_TWICE
            else:
                files.append(Path(entry))
                seen.add(place)
    return sorted(files)


def _entries(folder: Path, left_out: LeftOut) -> list[os.DirEntry[str]]:
    """The files and folders in `folder` by name, without what tools leave."""
    entries = []
    try:
        with os.scandir(folder) as found:
            for entry in sorted(found, key=lambda x: x.name):
                if entry.name.startswith(".") or entry.name.lower() in TOOL_LEFTOVERS:
                    continue
                if entry.is_dir() or entry.is_file():
                    entries.append(entry)
                else:
                    left_out[Path(entry)] = "no file, or a link to nothing"
    except OSError as error:
        left_out[folder] = error.strerror or "cannot be read"
    return entries


def _log_left_out(left_out: LeftOut) -> None:
    """Warns of files and folders that belong to no class, and names the first 10."""
    if not left_out:
        return
    lines = [f"  {printable(path)}: {why}" for path, why in left_out.items()]
    if (more := len(lines) - MAX_LISTED_PATHS) > 0:
        lines[MAX_LISTED_PATHS:] = [f"  and {more} more"]
    log.warning("\n".join([f"leaving out {len(left_out)} files or folders", *lines]))


def _remove_broken_files(
    root: Path, splits: Mapping[str, Files]
) -> dict[Path, FileCheck]:
    """Removes broken files from `splits`; returns the checks of the others."""
    every = [p for files in splits.values() for paths in files.values() for p in paths]
    checks = check_files(root, every)
    log_problems({p: x.problem for p, x in checks.items() if x.problem}, len(every))
    for files in splits.values():
        for label, paths in files.items():
            files[label] = [path for path in paths if not checks[path].problem]
    return {path: check for path, check in checks.items() if not check.problem}


def _present_labels(root: Path, splits: Mapping[str, Files]) -> tuple[str, ...]:
    """The classes that have an image in any split, each in one spelling."""
    labels: dict[str, str] = {}
    for files in splits.values():
        for label in _present(files):
            labels.setdefault(normalize("NFC", label), label)
    if not labels:
        raise UserError(f"data needs class folders with images; {root} has none.")
    return tuple(labels.values())


def _present(files: Files) -> list[str]:
    return [label for label, paths in files.items() if paths]


def _check_splits(
    root: Path, folders: Mapping[str, Path], splits: Mapping[str, Files]
) -> None:
    if "train" not in folders:
        raise UserError(
            "a folder holds class folders, or train/ with validation/ (or val/) and "
            f"test/ beside it; {root} has "
            f"{', '.join(folder.name for folder in folders.values())} but no train."
        )
    train = splits["train"]
    if len(train) < 2:
        raise UserError(
            "a data set needs at least two class folders with images; "
            f"{folders['train']} has {', '.join(train) or 'none'}."
        )
    if empty := [name for name, paths in train.items() if not paths]:
        raise UserError(
            f"every class folder needs an image; {folders['train']} has none in "
            f"{list_names(empty)}. Add images or remove the folder."
        )
    for split, folder in folders.items():
        present = _present(splits[split])
        if not present:
            raise UserError(f"{folder} needs class folders with images, or must go.")
        if unknown := unknown_names(present, list(train)):
            raise UserError(
                f"every class needs training images; {folder} has a class "
                f"{unknown[0]!r} that {folders['train'].name}/ does not."
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


def _file_split(
    files: Files, labels: Sequence[str], checks: Mapping[Path, FileCheck], content: str
) -> Split:
    places = match_names(list(files), labels)  # None: a class without images
    by_place = dict(zip(places, files.values(), strict=True))
    classes = [by_place.get(place, []) for place in range(len(labels))]
    counts = tuple(map(len, classes))
    paths = tuple(path for paths in classes for path in paths)
    fingerprint = hashlib.sha256(str(counts).encode())
    for path in paths:
        fingerprint.update(checks[path].digest.encode())
    return listed_split(
        list(map(os.fsencode, paths)),
        np.repeat(np.arange(len(counts)), counts).tolist(),
        tf.io.read_file,
        class_counts=counts,
        files=paths,
        fingerprint=fingerprint.hexdigest(),
        content=content,
    )


def _name(root: Path) -> str:
    """The folder's name, without bytes that are no text in this locale."""
    name = os.fsencode(root.resolve().name)
    return name.decode(sys.getfilesystemencoding(), "ignore") or "data"
