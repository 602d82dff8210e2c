"""Checks image files by decoding each one: broken files, duplicates, sizes."""

import hashlib
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import tensorflow as tf

from googlenet_keras.console import progress_bar
from googlenet_keras.data.decode import (
    JPEG_SIGNATURE,
    decode_unoriented,
    is_upright_jpeg,
)
from googlenet_keras.errors import UserError
from googlenet_keras.files import cache_folder, read_json, write_json

FILES_PER_CHUNK = 1024  # handed to the threads at a time, so that memory is bounded
# the first bytes of a JPEG, PNG, GIF, BMP or WebP file
IMAGE_SIGNATURES = (JPEG_SIGNATURE, b"\x89PNG", b"GIF8", b"BM", b"RIFF")
EMPTY_FILE_PROBLEM, NOT_AN_IMAGE_PROBLEM, BROKEN_IMAGE_PROBLEM = (
    "empty",
    "no image",
    "broken or truncated",
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileCheck:
    """The result of decoding one file.

    problem: None, "empty", "no image" or "broken or truncated". height, width: pixels
    as stored, 0 if there is a problem. digest: SHA-256 of the bytes. size, time: the
    file's bytes and the nanoseconds of its last change; a result is valid as long as
    they are the same. upright_jpeg: whether it is a JPEG that is stored upright.
    """

    problem: str | None
    height: int
    width: int
    digest: str
    size: int
    time: int
    upright_jpeg: bool

    def is_valid(self, path: Path) -> bool:
        """Whether the file at `path` has not changed since it was checked."""
        status = path.stat()
        return (self.size, self.time) == (status.st_size, status.st_mtime_ns)


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
    cached = _read_cache(cache_file)
    found: dict[Path, FileCheck] = {}
    for path in paths:
        known = cached.get(_name(root, path))
        if known and known.is_valid(path):
            found[path] = known
    fresh: dict[Path, FileCheck] = {}
    try:
        for path, result in _decode_all([p for p in paths if p not in found]):
            fresh[path] = result
    finally:
        if fresh:
            _write_cache(
                cache_file, cached | {_name(root, p): c for p, c in fresh.items()}
            )
    found |= fresh
    return {path: found[path] for path in paths}


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def problems_by_file(checks: Mapping[Path, FileCheck]) -> dict[Path, str]:
    """The problem of each file that is not a valid image."""
    return {path: check.problem for path, check in checks.items() if check.problem}


def check_report(root: Path, classes: Mapping[str, Sequence[Path]]) -> CheckReport:
    """Checks a folder and returns the report of `check-data`.

    classes: the files of each class, by the class's name in the report.
    """
    label = {path: name for name, paths in classes.items() for path in paths}
    checks = check_files(root, list(label))
    whole = {path: check for path, check in checks.items() if not check.problem}
    duplicates = _duplicates(whole)

    def names(paths: Iterable[Path]) -> list[str]:
        return [_name(root, path) for path in paths]

    return {
        "files": len(checks),
        "images": len(whole),
        "classes": {n: sum(p in whole for p in ps) for n, ps in classes.items()},
        "problems": {_name(root, p): x for p, x in problems_by_file(checks).items()},
        "duplicates": [names(paths) for paths in duplicates],
        "contradictions": [
            names(paths)
            for paths in duplicates
            if len({_class_name(label[p]) for p in paths}) > 1
        ],
        "short_side_pixels": _distribution(
            sorted(min(check.height, check.width) for check in whole.values())
        ),
    }


def _class_name(name: str) -> str:
    """The class without its split: "cat" of "train/cat"."""
    return name.rpartition("/")[2]


def _duplicates(checks: Mapping[Path, FileCheck]) -> list[list[Path]]:
    groups: dict[str, list[Path]] = defaultdict(list)
    for path, check in checks.items():
        groups[check.digest].append(path)
    return [paths for paths in groups.values() if len(paths) > 1]


def _distribution(values: Sequence[int]) -> dict[str, int] | None:
    if not values:
        return None
    last = len(values) - 1
    places = {"minimum": 0, "p10": last // 10, "median": last // 2,
              "p90": last * 9 // 10, "maximum": last}  # fmt: skip
    return {name: values[place] for name, place in places.items()}


def _decode_all(paths: Sequence[Path]) -> Iterator[tuple[Path, FileCheck]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress_bar() as progress:
        task = progress.add_task("checking images", total=len(paths))
        for start in range(0, len(paths), FILES_PER_CHUNK):
            chunk = paths[start : start + FILES_PER_CHUNK]
            for pair in zip(chunk, pool.map(_check_file, chunk), strict=True):
                progress.advance(task)
                yield pair


def _check_file(path: Path) -> FileCheck:
    status = path.stat()  # before reading: what changes in between is read again
    data = path.read_bytes()
    height, width, problem = 0, 0, None
    if not data:
        problem = EMPTY_FILE_PROBLEM
    else:
        try:
            height, width, _ = decode_unoriented(data).shape
        except tf.errors.OpError:
            problem = (
                BROKEN_IMAGE_PROBLEM
                if data.startswith(IMAGE_SIGNATURES)
                else NOT_AN_IMAGE_PROBLEM
            )
    return FileCheck(
        problem,
        height,
        width,
        hashlib.sha256(data).hexdigest(),
        status.st_size,
        status.st_mtime_ns,
        problem is None and is_upright_jpeg(data),
    )


def _cache_file(root: Path) -> Path:
    """The file with the cached checks of the folder `root`."""
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return cache_folder() / "checks" / f"{name}.json"


def _read_cache(path: Path) -> dict[str, FileCheck]:
    if not path.is_file():
        return {}
    try:
        return {name: FileCheck(**check) for name, check in read_json(path).items()}
    except (UserError, TypeError):  # damaged, or another version's
        return {}


def _write_cache(path: Path, checks: Mapping[str, FileCheck]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {name: asdict(check) for name, check in checks.items()})
    except (OSError, UserError) as error:
        log.warning("the check of the images is not cached: %s", error)


def log_problems(problems: Mapping[Path, str], total: int, most: int = 10) -> None:
    """Warns of files that are left out, and names the first `most`."""
    if not problems:
        return
    counts = Counter(problems.values())
    lines = [
        f"leaving out {len(problems)} of {total} files "
        f"({', '.join(f'{n} {what}' for what, n in counts.items())}); "
        "the others are whole",
        *(f"  {path}: {what}" for path, what in list(problems.items())[:most]),
    ]
    if len(problems) > most:
        lines.append(f"  and {len(problems) - most} more: see check-data")
    log.warning("\n".join(lines))
