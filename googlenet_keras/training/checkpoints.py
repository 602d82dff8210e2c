"""Checkpoints: the full training state in a file; the last two are kept."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from googlenet_keras.errors import DiskError, UserError
from googlenet_keras.files import atomic_file, disk_errors, read_bytes, write_bytes

CHECKPOINT_GENERATIONS = 2
TENSORS_SUFFIX, DIGEST_SUFFIX = ".safetensors", ".sha256"
MAX_DIGEST_BYTES = 1000
PROGRESS_KEY = "progress"  # in the metadata of the tensors' file
log = logging.getLogger(__name__)

Variable: TypeAlias = keras.Variable | tf.Variable


@dataclass(frozen=True)
class State:
    """The full training state: variables by name, and the rest as plain values."""

    tensors: Mapping[str, np.ndarray]
    progress: Mapping[str, Any]


def write_checkpoint(folder: Path, state: State) -> None:
    """Writes a checkpoint to `folder` and removes all but the last two.

    A generation is NNNNNNNN.safetensors and, written after it, its SHA-256 in a file
    that `sha256sum --check` reads. Both are written atomically and synced. Raises
    DiskError if the disk refuses; earlier generations stay.
    """
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
    existing = _generations(folder)
    number = int(existing[-1].stem) + 1 if existing else 0
    path = folder / f"{number:08d}{TENSORS_SUFFIX}"
    progress = {PROGRESS_KEY: json.dumps(state.progress)}
    try:
        with atomic_file(path) as temporary:
            save_file(dict(state.tensors), temporary, progress)
    except SafetensorError as error:  # how it reports a full disk
        raise DiskError(f"{path} cannot be written: {error}.") from error
    line = _sha256(path) + f"  {path.name}\n".encode()
    write_bytes(path.with_suffix(DIGEST_SUFFIX), line)
    for old in existing[: 1 - CHECKPOINT_GENERATIONS]:
        old.unlink(missing_ok=True)
        old.with_suffix(DIGEST_SUFFIX).unlink(missing_ok=True)


def newest_checkpoint(
    folder: Path,
    remove: bool = True,
    check: Callable[[State], None] = lambda state: None,
) -> State | None:
    """Reads the newest intact checkpoint; returns None if there is none.

    A damaged or unfinished one, or one that `check` refuses with a UserError, is logged
    and removed; remove=False leaves it to the process that may be writing it.
    """
    for path in reversed(_generations(folder)):
        digest = path.with_suffix(DIGEST_SUFFIX)
        problem = "not finished"  # the process was killed between the two files
        if digest.is_file():
            try:
                state = _read(path, digest)
                check(state)
                return state
            except (OSError, ValueError, RecursionError, SafetensorError) as error:
                problem = f"damaged ({error})"
        log.warning("%s is %s; using the checkpoint before it", path, problem)
        if remove:
            path.unlink(missing_ok=True)
            digest.unlink(missing_ok=True)
    return None


def _read(path: Path, digest: Path) -> State:
    """Reads a checkpoint. Raises many kinds of errors if it is damaged."""
    if read_bytes(digest, MAX_DIGEST_BYTES).split(b" ")[0] != _sha256(path):
        raise UserError(f"its SHA-256 is not that of {digest.name}")
    with safe_open(path, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        progress = json.loads((file.metadata() or {}).get(PROGRESS_KEY, "null"))
    return State(tensors, progress)


def assign_variables(
    variables: Mapping[str, Variable], tensors: Mapping[str, np.ndarray]
) -> None:
    """Assigns the tensors to the variables by name. Raises UserError if one misfits."""
    for name, variable in variables.items():
        if name not in tensors or tensors[name].shape != tuple(variable.shape):
            raise UserError(
                "a checkpoint belongs to the versions of this program and its packages "
                f"that wrote it; {name} is missing or has another shape. Resume with "
                "those versions, or start another run."
            )
        variable.assign(tensors[name])


def _generations(folder: Path) -> list[Path]:
    """The checkpoints' .safetensors files, oldest first."""
    files = folder.glob("[0-9]" * 8 + TENSORS_SUFFIX)
    return sorted(file for file in files if file.is_file())


def _sha256(path: Path) -> bytes:
    with disk_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().encode()
