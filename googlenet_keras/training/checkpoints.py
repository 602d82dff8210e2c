"""Checkpoints: the full training state in a file; the last two are kept."""

import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from googlenet_keras.errors import DiskError, UserError
from googlenet_keras.files import atomic_file, disk_errors, write_bytes
from googlenet_keras.run_folder import RunFolder

CHECKPOINT_GENERATIONS = 2
TENSORS_SUFFIX, DIGEST_SUFFIX = ".safetensors", ".sha256"
TENSORS_FILE_PATTERN = re.compile(rf"(\d{{8}}){re.escape(TENSORS_SUFFIX)}")
PROGRESS_KEY = "progress"  # in the metadata of the tensors' file
log = logging.getLogger(__name__)

Variable: TypeAlias = keras.Variable | tf.Variable


@dataclass(frozen=True)
class State:
    """The full training state.

    tensors: variables by name. progress: the rest, as plain values.
    """

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
    number = existing[-1] + 1 if existing else 0
    tensors, digest = _files(folder, number)
    with atomic_file(tensors) as temporary:
        _save(state, temporary)
    write_bytes(digest, f"{_sha256(tensors)}  {tensors.name}\n".encode())
    for old in existing[: 1 - CHECKPOINT_GENERATIONS]:
        _remove(folder, old)


def newest_checkpoint(folder: Path, remove: bool = True) -> State | None:
    """Reads the newest intact checkpoint; returns None if there is none.

    A damaged or unfinished one is logged and removed; remove=False leaves it to the
    process that may be writing it.
    """
    for number in reversed(_generations(folder)):
        tensors, digest = _files(folder, number)
        if _is_intact(tensors, digest):
            return _read(tensors)
        problem = "damaged" if digest.is_file() else "not finished"
        log.warning("%s is %s; using the checkpoint before it", tensors, problem)
        if remove:
            _remove(folder, number)
    return None


def has_checkpoint(folder: RunFolder) -> bool:
    """Whether the run can be resumed from a checkpoint."""
    return newest_checkpoint(folder.checkpoints, remove=False) is not None


def network_variables(
    network: keras.Model, averages: Sequence[tf.Variable]
) -> dict[str, Variable]:
    """All variables that training changes, each by a unique name.

    Weights and random states, the optimizer's variables, the moving `averages` of the
    weights and the sums of the metrics.
    """
    return {
        **_name("network", network.variables),
        **_name("optimizer", network.optimizer.variables),
        **_name("average", averages),
        **metric_variables(network),
    }


def metric_variables(network: keras.Model) -> dict[str, Variable]:
    """The sums of the metrics, by the names that `network_variables` gives them."""
    return _name("metrics", network.metrics_variables)


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


def _name(group: str, variables: Sequence[Variable]) -> dict[str, Variable]:
    return {f"{group}/{number}/{v.name}": v for number, v in enumerate(variables)}


def _generations(folder: Path) -> list[int]:
    names = (
        TENSORS_FILE_PATTERN.fullmatch(p.name)
        for p in folder.glob(f"*{TENSORS_SUFFIX}")
    )
    return sorted(int(match[1]) for match in names if match)


def _files(folder: Path, number: int) -> tuple[Path, Path]:
    tensors = folder / f"{number:08d}{TENSORS_SUFFIX}"
    return tensors, tensors.with_suffix(DIGEST_SUFFIX)


def _is_intact(tensors: Path, digest: Path) -> bool:
    if not digest.is_file():  # the process was killed between the two
        return False
    return digest.read_bytes().split(b" ")[0] == _sha256(tensors).encode()


def _save(state: State, path: Path) -> None:
    try:
        save_file(dict(state.tensors), path, {PROGRESS_KEY: json.dumps(state.progress)})
    except SafetensorError as error:  # how it reports a full disk
        raise DiskError(f"{path} cannot be written: {error}.") from error


def _sha256(path: Path) -> str:
    with disk_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> State:
    with safe_open(path, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return State(tensors, json.loads(file.metadata()[PROGRESS_KEY]))


def _remove(folder: Path, number: int) -> None:
    for path in _files(folder, number):
        path.unlink(missing_ok=True)
