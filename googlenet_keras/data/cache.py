"""Images kept between epochs: as they are stored, in memory, or made smaller, on disk.

What is kept is never augmented: every epoch crops and mirrors anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import tensorflow as tf

from googlenet_keras.console import track
from googlenet_keras.data.dataset import PIXELS, Split, listed_split
from googlenet_keras.data.decode import decode
from googlenet_keras.data.preprocessing import (
    MIN_REMAINING_SHRINK,
    resize,
    to_bytes,
)
from googlenet_keras.errors import UserError
from googlenet_keras.files import TEMPORARY_SUFFIX, cache_folder

ABANDONED = 3600  # seconds
CACHED_SIDE_MARGIN = 8 / 7  # the shorter side that is kept, in input sizes: 256 for 224


def cache_split(split: Split, mode: str, height: int, width: int) -> Split:
    """`split` read from memory or disk after its first reading, or `split` itself.

    mode: "none"; "memory", the encoded bytes; "disk", a folder's files made upright and
    smaller, shorter side 8 / 7 of the larger of `height` and `width`, in the user's
    cache folder until a file changes. Raises UserError for "disk" without files.
    """
    if mode == "memory":
        return _in_memory(split)
    return _on_disk(split, max(height, width)) if mode == "disk" else split


def _in_memory(split: Split) -> Split:
    loaded = split.in_order().map(
        lambda _, label, reference: (label, split.load(reference)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    pairs = list(loaded.as_numpy_iterator())
    kept = listed_split([e for _, e in pairs], [n for n, _ in pairs], tf.identity)
    return replace(
        split, stream=kept.stream, listed=kept.listed, load=tf.identity, files=()
    )


def _on_disk(split: Split, input_side: int) -> Split:
    if not split.files:
        raise UserError(
            "--cache disk keeps the files of a folder, and this data set has none; use "
            "--cache memory."
        )
    side = round(input_side * CACHED_SIDE_MARGIN)
    folder = cache_folder() / "images" / _key(split.files, side)
    if not folder.exists():
        _make(split, side, folder)
    labels, _ = split.listed
    paths = [os.fsencode(folder / str(i)) for i in range(split.count)]
    kept = listed_split(paths, labels.numpy(), _read)
    return replace(
        split, stream=kept.stream, listed=kept.listed, load=_read, content=PIXELS
    )


def _key(files: tuple[Path, ...], side: int) -> str:
    """Changes when a file does."""
    digest = hashlib.sha256(str(side).encode())
    for path in files:
        status = path.stat()
        digest.update(os.fsencode(path.absolute()))
        digest.update(f"\n{status.st_size}\n{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _make(split: Split, side: int, folder: Path) -> None:
    """Writes every image, numbered as it is read, into a folder that appears whole."""
    print(f"smaller, uncompressed copies of the images go to {folder}", file=sys.stderr)
    _sweep(folder.parent)
    temporary = folder.with_name(f"{folder.name}.{uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        temporary.mkdir(parents=True)
        _write(split, side, temporary)
        temporary.rename(folder)
    except (tf.errors.OpError, OSError) as error:
        if not folder.exists():  # else another process was faster, with the same images
            raise UserError(f"the images cannot be cached: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Removes what killed processes left: nothing has been added to it for long."""
    for folder in parent.glob(f"*{TEMPORARY_SUFFIX}"):
        with suppress(OSError):  # another process may be faster
            if time.time() - folder.stat().st_mtime > ABANDONED:
                shutil.rmtree(folder)


def _write(split: Split, side: int, folder: Path) -> None:
    def write(index, _, reference):
        data = tf.io.serialize_tensor(_smaller(split.load(reference), side))
        tf.io.write_file(tf.strings.join([str(folder), "/", tf.as_string(index)]), data)
        return index

    written = split.in_order().map(write, num_parallel_calls=tf.data.AUTOTUNE)
    for _ in track(written, "caching images", split.count):
        pass


def _smaller(encoded: tf.Tensor, side: int) -> tf.Tensor:
    """The upright image, its shorter side at most `side` pixels, uint8."""
    image = decode(encoded, at_least=MIN_REMAINING_SHRINK * side)
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    factor = tf.minimum(side / tf.reduce_min(size), 1.0)
    size = tf.cast(tf.round(size * factor), tf.int32)
    return to_bytes(resize(image, size))


def _read(path: tf.Tensor) -> tf.Tensor:
    """The pixels of one cached image, [h, w, 3] uint8."""
    image = tf.io.parse_tensor(tf.io.read_file(path), tf.uint8)
    return tf.ensure_shape(image, [None, None, 3])
