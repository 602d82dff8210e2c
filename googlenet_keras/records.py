"""What a run leaves behind, as JSON and JSON lines, and how it is put there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from googlenet_keras.errors import DiskError, UserError

CONFIG = "config.json"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
RESULT = "result.json"
CLASSIFIER = "classifier"
PLOTS = "plots"
EXPORT = "export"
TENSORBOARD = "tensorboard"
CHECKPOINTS = "checkpoints"
ARCHITECTURE = "architecture.json"  # a copy of the file that --architecture named
EVENT = "event"  # what a line of metrics.jsonl tells that tells of no epoch
LOCK = ".lock"
TEMPORARY = ".tmp"  # how the name of a file ends that is being written
TOP_K = 5  # what "top5" counts in every file


def refuse_existing(folder: Path, resume: bool = False) -> None:
    """Raises UserError where `folder` exists, for a run needs a new one.

    resume: what a run has left that was killed before it wrote config.json may exist.
    """
    if os.path.lexists(folder) and not (resume and _is_unbegun(folder)):
        raise UserError(
            f"a run folder is never overwritten, and {folder} exists; choose another "
            "--run-folder or remove it."
        )


def _is_unbegun(folder: Path) -> bool:
    if not folder.is_dir() or (folder / CONFIG).exists():
        return False
    names = {path.name for path in folder.iterdir() if path.suffix != TEMPORARY}
    return names <= {ENVIRONMENT, ARCHITECTURE, LOCK}


def create_run(folder: Path, resume: bool = False) -> Path:
    """Makes the folder of a new run; resume: as of `refuse_existing`.

    Raises UserError where it cannot be new.
    """
    refuse_existing(folder, resume)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the run folder must be writable; {folder} cannot be made: "
            f"{error.strerror}. Choose another --run-folder."
        ) from error
    return folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other processes from training in the run `folder` within the block.

    Raises UserError where one does. The operating system ends what a dead process held.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    # NFS locks only what can be written; the others are replaced, which ends a lock
    with (folder / LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"one process at a time trains in {folder}, and one is at it; wait for "
                "it or end it."
            ) from error
        except OSError as error:
            print(f"nothing keeps others out of {folder}: {error.strerror}", flush=True)
        yield


def open_run(folder: Path) -> Path:
    """The folder if it holds a run with a classifier. Raises UserError."""
    if not folder.is_dir():
        raise UserError(f"a run is a folder that train.py made; {folder} is none.")
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"a run folder holds {CONFIG}; {folder} does not. Name the folder that "
            "train.py printed, such as runs/digits-bn-..."
        )
    return folder


def check_target(path: Path) -> None:
    """Raises UserError for a path that no file could be written to."""
    if not path.name or path.is_dir() or not path.parent.is_dir():
        raise UserError(
            f"a file to write needs a name in a folder that exists; received {path}."
        )


def expanded(name: str) -> Path:
    """The path with ~ and ~user replaced, or as it is where nobody is called that."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def read_result(folder: Path) -> dict[str, Any]:
    """What a finished run came to. Raises UserError where `folder` holds none."""
    path = folder / RESULT
    if not path.is_file():
        raise UserError(f"{folder} has no {RESULT}: its run is not finished.")
    result = read_json(path)
    if "validation" not in result:
        raise UserError(
            f"{path} is not a training's; a search's best network is trained by "
            "python -m tuning.search --resume --retrain."
        )
    return result


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Writes `data` whole or not at all: a temporary file, synced, then renamed."""
    write_bytes(path, (json.dumps(data, indent=2) + "\n").encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` whole or not at all. Raises DiskError where the disk refuses."""
    with written_whole(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A file to write in the block, which becomes `path` after it, synced, or nothing.

    Raises DiskError where the disk refuses.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    with disk_errors(path):
        try:
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _sync(path: Path) -> None:
    """Waits until the disk holds `path`, a file or a folder's list of names."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folder
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def remove_unfinished(folder: Path) -> None:
    """Removes below `folder` what a process was writing when it was killed."""
    for path in folder.rglob(f"*{TEMPORARY}"):
        if path.is_file():  # an export's unfinished folder is the export's
            path.unlink(missing_ok=True)


def remove_checkpoints(folder: Path) -> None:
    """Removes the checkpoints of a run that is done."""
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns what the disk refuses within the block into a DiskError."""
    try:
        yield
    except OSError as error:
        raise DiskError(f"{path} cannot be written: {error.strerror}.") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in `path`. Raises UserError where there is none."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} holds no JSON: {error}.") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} holds JSON, but no object.")
    return data


def append_line(path: Path, data: Mapping[str, Any]) -> None:
    """Adds one JSON object as a line of its own."""
    with disk_errors(path), path.open("a") as file:
        file.write(json.dumps(data) + "\n")
        file.flush()
        if path.is_file():
            os.fsync(file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON lines file. Raises UserError for a damaged line."""
    lines = path.read_text().splitlines()
    return [_parsed(path, number, line) for number, line in enumerate(lines, 1)]


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError as error:
        raise UserError(
            f"each line of {path} holds JSON; line {number} is damaged: {error}. A "
            "process that was killed may have left it; --resume mends it."
        ) from error


def read_epochs(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl that tell of an epoch, not of an event."""
    return [line for line in read_lines(path) if EVENT not in line]


def keep_epochs(path: Path, epochs: int) -> None:
    """Drops the lines of later epochs than `epochs`, and all from a damaged one on."""
    kept = []
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            data = json.loads(line)
        except ValueError:  # what a process or a machine that died was writing
            break
        if EVENT in data or data["epoch"] <= epochs:
            kept.append(data)
    write_bytes(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
