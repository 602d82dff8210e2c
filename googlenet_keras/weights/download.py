"""A published file in the user's cache, fetched once and verified."""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

from googlenet_keras.console import progress_bar
from googlenet_keras.errors import UserError
from googlenet_keras.files import atomic_file, cache_folder
from googlenet_keras.weights.catalogue import LARGEST, Published

BLOCK = 2**18  # bytes between two steps of the bar
PATIENCE = 30  # seconds without a byte


def fetched(source: Published) -> Path:
    """The file of `source`, in the cache or brought there, with a progress bar.

    Raises UserError where it cannot be had or is another file than was published.
    """
    path = cache_folder() / "weights" / source.file_name
    if path.is_file() and is_published(path, source):
        return path
    print(f"fetching {source.address} to {path}", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        with temporary.open("wb") as file:
            for block in _blocks(source):
                file.write(block)
        _verify(temporary, source)
    return path


def is_published(path: Path, source: Published) -> bool:
    """Whether `path` is the very file that `source` published, by its SHA-256."""
    return _digest(path).startswith(source.sha256)


def _verify(path: Path, source: Published) -> None:
    digest = _digest(path)
    if not digest.startswith(source.sha256):
        raise UserError(
            f"{source.file_name} was published with a SHA-256 of {source.sha256}; what "
            f"came has {digest}. Nothing was kept; try again, or fetch it elsewhere "
            "and name the file."
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _blocks(source: Published) -> Iterator[bytes]:
    """The file's bytes as they come, with a bar. Raises UserError."""
    received = 0
    try:
        with urllib.request.urlopen(source.address, timeout=PATIENCE) as answer:
            length = answer.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else source.bytes
            with progress_bar() as shown:
                task = shown.add_task(source.file_name, total=total)
                while block := answer.read(BLOCK):
                    received += len(block)
                    if received > LARGEST:
                        raise UserError(
                            f"{source.address} sends more than any GoogLeNet has."
                        )
                    yield block
                    shown.advance(task, len(block))
    except (OSError, HTTPException) as error:  # the network's: writing is elsewhere
        raise UserError(
            f"{source.address} cannot be fetched: {error}. Fetch it elsewhere, and "
            f"name the file: import-weights {source.name} {source.file_name} RUN"
        ) from error
