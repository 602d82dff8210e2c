"""Atomic writes of files and folders, JSON, and the user's cache folder."""

import json
import logging
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

from googlenet_keras.errors import DiskError, UserError

TEMPORARY_SUFFIX = ".tmp"  # of a file or folder that is being written
HOST = socket.gethostname().replace(".", "-")
TEMPORARY_FOLDER = re.compile(
    r"(.+)\.([^.]+)-(\d+)(?:\.\d+)?\.(?:new|old)\.tmp", re.DOTALL
)
ABANDONED_SECONDS = 3600  # after the last change by another machine or container
MAX_JSON_BYTES = 16 * 10**6  # a million labels, the most that a file here holds
MAX_JSON_LINES_BYTES = 256 * 10**6  # a line has MAX_JSON_BYTES at most
MAX_JSON_DEPTH = 32  # lists and objects within each other
_own_folders: set[Path] = set()  # temporary folders of this process
log = logging.getLogger(__name__)


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
        _own_folders.update((new, old))
        new.mkdir()
    try:
        yield new
        with disk_errors(path):
            if replace and path.exists():
                path.rename(old)
            if not path.exists():
                _rename_unless_there(new, path)
    finally:
        _restore_or_remove(old, path)
        _restore_or_remove(new, path)
        _own_folders.difference_update((new, old))


def _rename_unless_there(folder: Path, path: Path) -> None:
    """Renames `folder` to `path`; does nothing if another process was faster."""
    try:
        folder.rename(path)
    except OSError:
        if not path.is_dir():
            raise


def _temporary(path: Path, role: str = "") -> Path:
    """A name that no other process and no other thread gives."""
    writer = f"{HOST}-{os.getpid()}.{threading.get_native_id()}"
    return path.with_name(f"{path.name}.{writer}{role}{TEMPORARY_SUFFIX}")


def _remove_abandoned_folders(parent: Path) -> None:
    """Restores or removes the temporary folders of processes that were killed."""
    for folder in parent.glob(f"*{TEMPORARY_SUFFIX}"):
        parts = TEMPORARY_FOLDER.fullmatch(folder.name)
        if not parts or folder in _own_folders:
            continue
        name, host, process = parts[1], parts[2], int(parts[3])
        with suppress(FileNotFoundError):  # another process removes it too
            if host != HOST:
                is_abandoned = time.time() - folder.stat().st_mtime > ABANDONED_SECONDS
            else:  # a container's next process has the same number
                is_abandoned = process == os.getpid() or not _is_alive(process)
            if is_abandoned:
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
    if path.exists() and not path.is_file():  # a device or pipe cannot be replaced
        with disk_errors(path):
            path.write_bytes(data)
        return
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Writes `data` atomically as indented JSON. Raises DiskError."""
    write_bytes(path, (json.dumps(data, indent=2) + "\n").encode())


def check_regular_file(path: Path) -> None:
    """Raises UserError for a device, a pipe or a folder, which could block for ever."""
    if path.exists() and not path.is_file():
        raise UserError(
            f"only regular files are opened; {path} is a folder, a device or a pipe."
        )


def check_readable(path: Path, most: int) -> None:
    """Raises UserError unless `path` is a regular file of up to `most` bytes."""
    if not path.exists():
        raise UserError(f"no such file: {path}.")
    check_regular_file(path)
    if (size := path.stat().st_size) > most:
        raise UserError(f"{path} may have {most:,} bytes at most; it has {size:,}.")


def read_bytes(path: Path, most: int) -> bytes:
    """Reads a regular file. Raises UserError for another and for over `most` bytes."""
    check_readable(path, most)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error


def read_json(
    path: Path, kind: Any = dict[str, Any], most: int = MAX_JSON_BYTES
) -> Any:
    """Reads a JSON file of at most `most` bytes as a `kind`, by default an object.

    Raises UserError for anything else, with the key that is wrong.
    """
    return convert(_parse_json(read_bytes(path, most), str(path)), kind, str(path))


def _parse_json(data: bytes, what: str) -> Any:
    try:
        value = json.loads(data)
        if _is_deeper([value], MAX_JSON_DEPTH + 1):
            raise RecursionError(f"nested in over {MAX_JSON_DEPTH} levels")
        return value
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} is not valid JSON: {error}.") from error


def _is_deeper(value: dict[str, Any] | list[Any], levels: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value
    nested = (part for part in parts if isinstance(part, dict | list))
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in nested)


def convert(data: Any, kind: Any, what: str) -> Any:
    """Converts plain values to a `kind`; drops the keys that it does not have.

    kind: a type such as list[str] or a TypedDict; ranges are msgspec.Meta annotations.
    Raises UserError, which calls the data `what`, with the key that is wrong.
    """
    try:
        return msgspec.convert(data, kind, dec_hook=lambda kind, value: kind(value))
    except msgspec.ValidationError as error:
        raise UserError(f"{what}: {error}.") from error


def append_json_line(path: Path, data: Mapping[str, Any]) -> None:
    """Appends one JSON object as a line, synced. Raises DiskError."""
    with disk_errors(path), path.open("a") as file:
        file.write(json.dumps(data) + "\n")
        file.flush()
        if path.is_file():
            os.fsync(file.fileno())


def read_json_lines(
    path: Path,
    check: Callable[[dict[str, Any]], Any] = lambda row: row,
    *,
    skip_damaged: bool = False,
) -> list[Any]:
    """Reads the objects of a JSON lines file; `check` converts or refuses each.

    skip_damaged: logs damaged lines and leaves them out. Raises UserError.
    """
    rows = []
    lines = read_bytes(path, MAX_JSON_LINES_BYTES).split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            if line or number < len(lines):
                data = _parse_json(
                    line[:MAX_JSON_BYTES], "it"
                )  # a cut line is invalid JSON
                rows.append(check(convert(data, dict[str, Any], "it")))
        except UserError as error:
            damage = f"line {number} is damaged: {error}"
            if not skip_damaged:
                raise UserError(
                    f"each line of {path} must be an object of JSON; {damage} "
                    "A killed process may have left it; --resume repairs it."
                ) from error
            log.warning("%s: %s The line is left out", path, damage)
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
