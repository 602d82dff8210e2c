"""Finds the files that no decoder reads, before a training run meets them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow as tf

from googlenet_keras.errors import UserError

NAMED = 5  # broken files named in a message
CHUNK = 1024  # files handed to the readers at a time, so that memory does not grow


def refuse_broken(paths: Sequence[Path]) -> None:
    """Decodes every file once, in parallel. Raises UserError that names broken ones."""
    broken = [path for path, whole in _decoded(paths) if not whole]
    if broken:
        more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        raise UserError(
            "every file in a class folder must be a whole JPEG, PNG, GIF, BMP or WebP "
            f"image; {', '.join(map(str, broken[:NAMED]))}{more} is not "
            f"({len(paths) - len(broken)} others are). Move the broken ones away."
        )


def _decoded(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """(path, whether it is a whole image), with a progress bar on stderr."""
    with ThreadPoolExecutor(os.cpu_count()) as pool, _progress() as progress:
        task = progress.add_task("checking images", total=len(paths))
        for start in range(0, len(paths), CHUNK):
            chunk = paths[start : start + CHUNK]
            for pair in zip(chunk, pool.map(is_image, chunk), strict=True):
                progress.advance(task)
                yield pair


def _progress():
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(file=sys.stderr), transient=True)


def is_image(path: Path) -> bool:
    """Whether the whole file decodes."""
    try:
        data = tf.io.read_file(str(path))
        tf.io.decode_image(data, channels=3, expand_animations=False)
    except (tf.errors.OpError, UnicodeError):
        return False
    return True
