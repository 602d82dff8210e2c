"""What a run goes on from: its whole state in a file, two generations of it."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from googlenet_keras.errors import DiskError
from googlenet_keras.files import atomic_file, disk_errors, write_bytes

GENERATIONS = 2
TENSORS, DIGEST = ".safetensors", ".sha256"
NAME = re.compile(rf"(\d{{8}}){re.escape(TENSORS)}")
PROGRESS = "progress"


@dataclass(frozen=True)
class State:
    """Everything that decides how a run goes on.

    tensors: variables by name. progress: the rest, as plain values.
    """

    tensors: Mapping[str, np.ndarray]
    progress: Mapping[str, Any]


def write(folder: Path, state: State) -> None:
    """Adds a generation to `folder` and drops all but the last two.

    A generation is NNNNNNNN.safetensors and, written after it, its SHA-256 in a file
    that `sha256sum --check` reads. Each is written whole and synced. Raises DiskError
    where the disk refuses; what was there before stays.
    """
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
    before = _generations(folder)
    number = before[-1] + 1 if before else 0
    tensors, digest = _files(folder, number)
    with atomic_file(tensors) as temporary:
        _save(state, temporary)
    write_bytes(digest, f"{_sha256(tensors)}  {tensors.name}\n".encode())
    for old in before[: 1 - GENERATIONS]:
        _remove(folder, old)


def newest(folder: Path, remove: bool = True) -> State | None:
    """The last generation that is whole, or None where there is none.

    One that is damaged, or was not finished, is named on stderr and removed, unless
    another process may be writing it.
    """
    for number in reversed(_generations(folder)):
        tensors, digest = _files(folder, number)
        if _is_whole(tensors, digest):
            return _read(tensors)
        what = "damaged" if digest.is_file() else "not finished"
        print(f"{tensors} is {what}; one before it is looked for", file=sys.stderr)
        if remove:
            _remove(folder, number)
    return None


def _generations(folder: Path) -> list[int]:
    names = (NAME.fullmatch(path.name) for path in folder.glob(f"*{TENSORS}"))
    return sorted(int(match[1]) for match in names if match)


def _files(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number:08d}{TENSORS}", folder / f"{number:08d}{DIGEST}"


def _is_whole(tensors: Path, digest: Path) -> bool:
    if not digest.is_file():  # a process was killed between the two
        return False
    return digest.read_bytes().split(b" ")[0] == _sha256(tensors).encode()


def _save(state: State, path: Path) -> None:
    try:
        save_file(dict(state.tensors), path, {PROGRESS: json.dumps(state.progress)})
    except SafetensorError as error:  # how it reports a full disk
        raise DiskError(f"{path} cannot be written: {error}.") from error


def _sha256(path: Path) -> str:
    with disk_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> State:
    with safe_open(path, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return State(tensors, json.loads(file.metadata()[PROGRESS]))


def _remove(folder: Path, number: int) -> None:
    for path in _files(folder, number):
        path.unlink(missing_ok=True)
