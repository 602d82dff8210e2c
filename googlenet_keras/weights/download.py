"""Downloads published files once into the user's cache and verifies them."""

import hashlib
import logging
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

from googlenet_keras.console import progress_bar
from googlenet_keras.errors import UserError
from googlenet_keras.files import atomic_file, cache_folder
from googlenet_keras.weights.catalog import MAX_FILE_BYTES, PublishedWeights

DOWNLOAD_BLOCK_BYTES = 2**18  # between two steps of the progress bar
DOWNLOAD_TIMEOUT_SECONDS = 30  # without a byte

log = logging.getLogger(__name__)


def download(weights: PublishedWeights) -> Path:
    """Returns the published file in the cache; downloads it if it is not there.

    Raises UserError if it cannot be downloaded or is not the file that was published.
    """
    path = cache_folder() / "weights" / weights.file_name
    if path.is_file() and is_published(path, weights):
        return path
    log.info("downloading %s to %s", weights.url, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        with temporary.open("wb") as file:
            file.writelines(_receive(weights))
        _verify(temporary, weights)
    return path


def is_published(path: Path, weights: PublishedWeights) -> bool:
    """Whether `path` is the very file that was published, by its SHA-256."""
    return sha256(path).startswith(weights.sha256)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(path: Path, weights: PublishedWeights) -> None:
    if not is_published(path, weights):
        raise UserError(
            f"{weights.file_name} was published with a SHA-256 of {weights.sha256}; "
            f"the download has {sha256(path)} and was removed. Try again, or download "
            "it elsewhere and name the file."
        )


def _receive(weights: PublishedWeights) -> Iterator[bytes]:
    """Yields the file's bytes as they arrive, with a bar. Raises UserError."""
    received = 0
    try:
        with urllib.request.urlopen(
            weights.url, timeout=DOWNLOAD_TIMEOUT_SECONDS
        ) as response:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else weights.bytes
            with progress_bar() as bar:
                task = bar.add_task(weights.file_name, total=total)
                while block := response.read(DOWNLOAD_BLOCK_BYTES):
                    received += len(block)
                    if received > MAX_FILE_BYTES:
                        raise UserError(
                            f"{weights.url} sends more than any GoogLeNet has."
                        )
                    yield block
                    bar.advance(task, len(block))
    except (OSError, HTTPException) as error:  # of the network
        raise UserError(
            f"{weights.url} cannot be downloaded: {error}. Download it elsewhere and "
            f"name the file: import-weights {weights.name} {weights.file_name} RUN"
        ) from error
