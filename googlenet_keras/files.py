"""Atomic writes of files and folders, JSON, and the user's cache folder."""

import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs

from googlenet_keras.errors import DiskError, UserError

TEMPORARY_SUFFIX = ".tmp"  # of a file or folder that is being written
HOST = socket.gethostname().replace(".", "-")
TEMPORARY_FOLDER = re.compile(r"(.+)\.([^.]+)-(\d+)\.(?:new|old)\.tmp", re.DOTALL)
ABANDONED_SECONDS = 3600  # after the last change by another machine or container
_filling: set[Path] = set()  # temporary folders of this process


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write; renames it to `path`, synced, at the end.

    If the block fails, `path` stays as it was. Raises DiskError if the disk refuses.
    """
    temporary = _temporary(path)
    with disk_errors(path):
        try:
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """Yields a new folder to fill; renames it to `path` at the end of the block.

    If the block fails, `path` stays as it was. replace: a folder at `path` is replaced;
    otherwise the one of a process that finished earlier stays. What killed processes
    left in its parent folder is removed. Raises DiskError.
    """
    new, old = _temporary(path, ".new"), _temporary(path, ".old")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned_folders(path.parent)
        _filling.update((new, old))
        new.mkdir()
    try:
        yield new
        with disk_errors(path):
            if replace and path.exists():
                path.rename(old)
            if not path.exists():
                new.rename(path)
    finally:
        _restore_or_remove(old, path)
        _restore_or_remove(new, path)
        _filling.difference_update((new, old))


def _temporary(path: Path, role: str = "") -> Path:
    return path.with_name(f"{path.name}.{HOST}-{os.getpid()}{role}{TEMPORARY_SUFFIX}")


def _remove_abandoned_folders(parent: Path) -> None:
    """Restores or removes the temporary folders of processes that were killed."""
    for folder in parent.glob(f"*{TEMPORARY_SUFFIX}"):
        parts = TEMPORARY_FOLDER.fullmatch(folder.name)
        if not parts or folder in _filling:
            continue
        name, host, process = parts[1], parts[2], int(parts[3])
        with suppress(FileNotFoundError):  # another process removes it too
            if host != HOST:
                gone = time.time() - folder.stat().st_mtime > ABANDONED_SECONDS
            else:  # a container's next process has the same number
                gone = process == os.getpid() or not _is_alive(process)
            if gone:
                _restore_or_remove(folder, parent / name)


def _restore_or_remove(folder: Path, path: Path) -> None:
    """Moves an .old `folder` back to `path` if that is missing, or else removes it."""
    if folder.suffixes[-2] == ".old" and folder.exists() and not path.exists():
        folder.rename(path)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        if os.name != "nt":  # where os.kill would end it
            os.kill(process, 0)
    except OSError as error:  # a PermissionError: it is another user's
        return not isinstance(error, ProcessLookupError)
    return True


def _sync(path: Path) -> None:
    """Waits until `path`, a file or a folder's list of entries, is on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folder
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError within the block into a DiskError that names `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DiskError(f"{path} cannot be written: {reason}.") from error


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` atomically. Raises DiskError if the disk refuses."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Writes `data` atomically as indented JSON. Raises DiskError."""
    write_bytes(path, (json.dumps(data, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object. Raises UserError if the file holds none."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} must hold a JSON object; it holds another value.")
    return data


def append_json_line(path: Path, data: Mapping[str, Any]) -> None:
    """Appends one JSON object as a line, synced. Raises DiskError."""
    with disk_errors(path), path.open("a") as file:
        file.write(json.dumps(data) + "\n")
        file.flush()
        if path.is_file():
            os.fsync(file.fileno())


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Reads a JSON lines file. Raises UserError for a damaged line."""
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise UserError(
                f"each line of {path} must be JSON; line {number} is damaged: {error}. "
                "A killed process may have left it; --resume repairs it."
            ) from error
    return rows


def cache_folder() -> Path:
    """The user's cache folder for what can be made again (XDG_CACHE_HOME on Linux)."""
    return platformdirs.user_cache_path("googlenet_keras", appauthor=False)


def expand_user(name: str) -> Path:
    """The path with ~ and ~user expanded, or unchanged for an unknown user."""
    return Path(os.path.expanduser(name))  # Path.expanduser raises for such a user


def check_output_files(*paths: Path | None) -> None:
    """Raises UserError if a file could not be written to one of the `paths`."""
    for path in filter(None, paths):
        if not path.name or path.is_dir() or not path.parent.is_dir():
            raise UserError(
                f"an output file needs a name in an existing folder; received {path}."
            )
