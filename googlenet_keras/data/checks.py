"""Checks image files by decoding each one: broken files, duplicates, sizes."""

import hashlib
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import tensorflow as tf

from googlenet_keras.console import track
from googlenet_keras.data.decode import DECODING_VERSION, decode_unoriented
from googlenet_keras.data.exif import is_upright_jpeg
from googlenet_keras.data.image_files import (
    BROKEN,
    UNREADABLE,
    ImageFileError,
    read_image_file,
)
from googlenet_keras.errors import UserError
from googlenet_keras.files import cache_folder, read_json, write_json
from googlenet_keras.machine import cores

MAX_CACHE_BYTES = 10**9  # of some 200 bytes for each image
CHUNK_FILES = 1024  # handed to the threads at a time, so that memory is bounded
UNREADABLE_SIZE = -1  # of a file that the disk refused, which is always read again
MAX_LOGGED_PROBLEMS = 10
PERCENTILES = {"minimum": 0, "p10": 10, "median": 50, "p90": 90, "maximum": 100}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileCheck:
    """The result of decoding one file.

    problem: None, "empty", "no image", "broken or truncated" or what else it is, with
    details in parentheses. height, width: pixels as stored, 0 if there is a problem.
    digest: SHA-256 of the bytes of a whole image. size, time: the file's bytes and the
    nanoseconds of its last change; a result is valid as long as they are the same.
    upright_jpeg: whether it is a JPEG that is stored upright.
    """

    problem: str | None
    height: int
    width: int
    digest: str
    size: int
    time: int
    upright_jpeg: bool

    def is_stale(self, path: Path) -> bool:
        """Whether the file at `path` has changed since it was checked."""
        status = path.stat()
        return (self.size, self.time) != (status.st_size, status.st_mtime_ns)


class CheckReport(TypedDict):
    """The report of `check-data`; paths are relative to the checked folder.

    classes: whole images of each. problems: what is wrong, by file. duplicates: files
    of the same content. contradictions: those of them with several classes.
    short_side_pixels: minimum, p10, median, p90 and maximum.
    """

    files: int
    images: int
    classes: dict[str, int]
    problems: dict[str, str]
    duplicates: list[list[str]]
    contradictions: list[list[str]]
    short_side_pixels: dict[str, int] | None


def check_files(root: Path, paths: Sequence[Path]) -> dict[Path, FileCheck]:
    """Checks `paths` below `root` by decoding them in parallel, with a progress bar.

    The results are cached in the user's cache folder, also those of a check that is
    interrupted; only files that have changed since are read again.
    """
    cache_file = _cache_file(root)
    known: dict[str, FileCheck] = {}
    with suppress(UserError, TypeError):  # there is none, damaged, another version's
        written = read_json(cache_file, most=MAX_CACHE_BYTES)
        known = {name: FileCheck(**x) for name, x in written.items()}
    names = {path: path.relative_to(root).as_posix() for path in paths}
    stale = [p for p, n in names.items() if n not in known or known[n].is_stale(p)]
    chunks = (stale[i : i + CHUNK_FILES] for i in range(0, len(stale), CHUNK_FILES))
    try:
        with ThreadPoolExecutor(cores()) as pool:
            checked = (x for chunk in chunks for x in pool.map(_check_file, chunk))
            checks = track(checked, "checking images", len(stale))
            for path, check in zip(stale, checks, strict=True):
                known[names[path]] = check
    finally:
        if stale:
            _write_cache(cache_file, known)
    return {path: known[name] for path, name in names.items()}


def _cache_file(root: Path) -> Path:
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return cache_folder() / "checks" / f"{name}-{DECODING_VERSION}.json"


def _write_cache(path: Path, checks: Mapping[str, FileCheck]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {name: asdict(check) for name, check in checks.items()})
    except (OSError, UserError) as error:
        log.warning("the check of the images is not cached: %s", error)


def _check_file(path: Path) -> FileCheck:
    status = path.stat()  # before reading: what changes in between is read again
    size, time = status.st_size, status.st_mtime_ns
    try:
        data = read_image_file(path)
        height, width, _ = decode_unoriented(data).shape
    except ImageFileError as error:
        return FileCheck(error.problem, 0, 0, "", size, time, False)
    except tf.errors.OpError:
        return FileCheck(BROKEN, 0, 0, "", size, time, False)
    except OSError as error:
        return FileCheck(
            error.strerror or UNREADABLE, 0, 0, "", UNREADABLE_SIZE, time, False
        )
    digest = hashlib.sha256(data).hexdigest()
    return FileCheck(None, height, width, digest, size, time, is_upright_jpeg(data))


def log_problems(problems: Mapping[Path, str], total: int) -> None:
    """Warns of files that are left out, and names the first 10."""
    if not problems:
        return
    kinds = Counter(problem.partition(" (")[0] for problem in problems.values())
    counts = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    lines = [f"  {path}: {what}" for path, what in problems.items()]
    if (more := len(lines) - MAX_LOGGED_PROBLEMS) > 0:
        lines[MAX_LOGGED_PROBLEMS:] = [f"  and {more} more: see check-data"]
    summary = f"leaving out {len(problems)} of {total} files ({counts})"
    log.warning("\n".join([f"{summary}; the others are whole", *lines]))


def check_report(root: Path, classes: Mapping[str, Sequence[Path]]) -> CheckReport:
    """Checks a folder and returns the report of `check-data`.

    classes: the files of each class, by the class's name in the report.
    """
    # the class without its split: "cat" of "train/cat"
    label = {p: name.rpartition("/")[2] for name, ps in classes.items() for p in ps}
    name = {path: path.relative_to(root).as_posix() for path in label}
    checks = check_files(root, list(label))
    whole = {path: check for path, check in checks.items() if not check.problem}
    sides = [min(check.height, check.width) for check in whole.values()]
    copies: dict[str, list[Path]] = defaultdict(list)
    for path, check in whole.items():
        copies[check.digest].append(path)
    duplicates = [paths for paths in copies.values() if len(paths) > 1]
    contradictions = [x for x in duplicates if len({label[path] for path in x}) > 1]
    return {
        "files": len(checks),
        "images": len(whole),
        "classes": {n: sum(p in whole for p in ps) for n, ps in classes.items()},
        "problems": {name[p]: x.problem for p, x in checks.items() if x.problem},
        "duplicates": [[name[p] for p in paths] for paths in duplicates],
        "contradictions": [[name[p] for p in paths] for paths in contradictions],
        "short_side_pixels": _percentiles(sides) if sides else None,
    }


def _percentiles(values: Sequence[int]) -> dict[str, int]:
    found = np.percentile(values, list(PERCENTILES.values()), method="lower")
    return dict(zip(PERCENTILES, found.tolist(), strict=True))
