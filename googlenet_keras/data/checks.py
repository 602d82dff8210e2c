"""Finds the files that no decoder reads, before a training run meets them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow as tf

from googlenet_keras.errors import UserError

NAMED = 5  # broken files named in a message


def refuse_broken(paths: Sequence[Path]) -> None:
    """Decodes every file once, in parallel. Raises UserError that names broken ones."""
    from rich.console import Console
    from rich.progress import track

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        console = Console(file=sys.stderr)
        results = track(
            pool.map(is_image, paths),
            "checking images",
            total=len(paths),
            console=console,
            transient=True,
        )
        broken = [path for path, ok in zip(paths, results, strict=True) if not ok]
    if broken:
        more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        raise UserError(
            "every file in a class folder must be a whole JPEG, PNG, GIF, BMP or WebP "
            f"image; {', '.join(map(str, broken[:NAMED]))}{more} is not "
            f"({len(paths) - len(broken)} others are). Move the broken ones away."
        )


def is_image(path: Path) -> bool:
    """Whether the whole file decodes."""
    try:
        data = tf.io.read_file(str(path))
        tf.io.decode_image(data, channels=3, expand_animations=False)
    except (tf.errors.OpError, UnicodeError):
        return False
    return True
