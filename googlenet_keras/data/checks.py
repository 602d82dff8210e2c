"""One full decode of every file: what is broken, what stands there twice, how large."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from googlenet_keras.console import progress_bar
from googlenet_keras.data.decode import (
    JPEG_SIGNATURE,
    decode_unoriented,
    is_upright_jpeg,
)
from googlenet_keras.errors import UserError
from googlenet_keras.files import cache_folder, read_json, write_json

FILES_PER_CHUNK = (
    1024  # files handed to the readers at a time, so that memory does not grow
)
IMAGE_SIGNATURES = (
    JPEG_SIGNATURE,
    b"\x89PNG",
    b"GIF8",
    b"BM",
    b"RIFF",
)  # how files begin
EMPTY, NO_IMAGE, BROKEN = "empty", "no image", "broken or truncated"


@dataclass(frozen=True)
class FileCheck:
    """What one decode of a file told.

    problem: None, "empty", "no image" or "broken or truncated". height, width: pixels
    as stored, 0 where there is a problem. digest: SHA-256 of the bytes. size, time: the
    file's bytes and the nanoseconds of its last change, by which an old result is known
    to hold still. upright_jpeg: whether it is a JPEG that needs no turning.
    """

    problem: str | None
    height: int
    width: int
    digest: str
    size: int
    time: int
    upright_jpeg: bool


def check_files(root: Path, paths: Sequence[Path]) -> dict[Path, FileCheck]:
    """Examines every file below `root` in parallel, with a progress bar on stderr.

    Files that were examined before and have not changed since are not read again; the
    results are kept in the user's cache folder, also of a check that is interrupted.
    """
    store = _store(root)
    known = _known(store)
    found = {path: known.get(_name(root, path)) for path in paths}
    stale = [path for path, old in found.items() if not _holds(path, old)]
    fresh: dict[Path, FileCheck] = {}
    try:
        for path, result in _examined(stale):
            fresh[path] = result
    finally:
        if fresh:
            _remember(store, known | {_name(root, p): x for p, x in fresh.items()})
    return found | fresh


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def problems_by_file(examined: Mapping[Path, FileCheck]) -> dict[Path, str]:
    """The files that are not whole images, with what is wrong."""
    return {path: x.problem for path, x in examined.items() if x.problem}


def check_report(root: Path, classes: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    """Everything that `check-data` reports of a folder, as plain values.

    classes: the files of each class, named as the report shall name it; paths come out
    relative to `root`.
    """
    label = {path: name for name, paths in classes.items() for path in paths}
    examined = check_files(root, list(label))
    whole = {path: x for path, x in examined.items() if not x.problem}
    twins = [paths for paths in _same_content(whole) if len(paths) > 1]
    short = sorted(min(x.height, x.width) for x in whole.values())

    def names(paths: Iterable[Path]) -> list[str]:
        return [path.relative_to(root).as_posix() for path in paths]

    problem = problems_by_file(examined)
    return {
        "files": len(examined),
        "images": len(whole),
        "classes": {n: sum(p in whole for p in ps) for n, ps in classes.items()},
        "problems": dict(zip(names(problem), problem.values(), strict=True)),
        "duplicates": [names(paths) for paths in twins],
        "contradictions": [
            names(paths)
            for paths in twins
            if len({_class_of(label[p]) for p in paths}) > 1
        ],
        "short_side_pixels": _distribution(short),
    }


def _class_of(name: str) -> str:
    """The class alone, without the split that it stands in."""
    return name.rpartition("/")[2]


def _same_content(examined: Mapping[Path, FileCheck]) -> Iterable[list[Path]]:
    groups: dict[str, list[Path]] = defaultdict(list)
    for path, result in examined.items():
        groups[result.digest].append(path)
    return groups.values()


def _distribution(values: Sequence[int]) -> dict[str, int] | None:
    if not values:
        return None
    last = len(values) - 1
    places = {"minimum": 0, "p10": last // 10, "median": last // 2,
              "p90": last * 9 // 10, "maximum": last}  # fmt: skip
    return {name: values[place] for name, place in places.items()}


def _examined(paths: Sequence[Path]) -> Iterator[tuple[Path, FileCheck]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress_bar() as progress:
        task = progress.add_task("checking images", total=len(paths))
        for start in range(0, len(paths), FILES_PER_CHUNK):
            chunk = paths[start : start + FILES_PER_CHUNK]
            for pair in zip(chunk, pool.map(_examine, chunk), strict=True):
                progress.advance(task)
                yield pair


def _examine(path: Path) -> FileCheck:
    status = path.stat()  # before reading: what changes in between is read again
    data = path.read_bytes()
    height, width, problem = 0, 0, None
    if not data:
        problem = EMPTY
    else:
        try:
            height, width, _ = decode_unoriented(data).shape
        except tf.errors.OpError:
            problem = BROKEN if data.startswith(IMAGE_SIGNATURES) else NO_IMAGE
    return FileCheck(
        problem,
        height,
        width,
        hashlib.sha256(data).hexdigest(),
        status.st_size,
        status.st_mtime_ns,
        problem is None and is_upright_jpeg(data),
    )


def _holds(path: Path, old: FileCheck | None) -> bool:
    status = path.stat()
    return old is not None and (old.size, old.time) == (
        status.st_size,
        status.st_mtime_ns,
    )


def _store(root: Path) -> Path:
    """The cache file of the folder `root`."""
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return cache_folder() / "checks" / f"{name}.json"


def _known(store: Path) -> dict[str, FileCheck]:
    if not store.is_file():
        return {}
    try:
        data = read_json(store)
        return {path: FileCheck(**result) for path, result in data.items()}
    except (UserError, TypeError):  # damaged, or an older program's: made anew
        return {}


def _remember(store: Path, examined: Mapping[str, FileCheck]) -> None:
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        write_json(store, {name: asdict(x) for name, x in examined.items()})
    except (OSError, UserError) as error:
        print(f"the check is not remembered: {error}", file=sys.stderr)


def log_problems(found: Mapping[Path, str], total: int, most: int = 10) -> None:
    """Names on stderr the files that are left out."""
    if not found:
        return
    counts = ", ".join(f"{n} {what}" for what, n in Counter(found.values()).items())
    print(
        f"leaving out {len(found)} of {total} files ({counts}); the others are whole",
        file=sys.stderr,
    )
    for path, problem in list(found.items())[:most]:
        print(f"  {path}: {problem}", file=sys.stderr)
    if len(found) > most:
        print(f"  and {len(found) - most} more: see check-data", file=sys.stderr)
