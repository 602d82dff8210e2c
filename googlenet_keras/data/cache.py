"""Caches images between epochs: encoded in memory, or decoded and smaller on disk.

What is cached is not augmented: every epoch draws new crops.
"""

import hashlib
import logging
import os
from pathlib import Path

import tensorflow as tf

from googlenet_keras.console import track
from googlenet_keras.data.dataset import PIXELS, Split, listed_split, without_autograph
from googlenet_keras.data.decode import DECODING_VERSION, decode
from googlenet_keras.data.pipeline import explain_unreadable
from googlenet_keras.data.preprocessing import MIN_REMAINING_SHRINK, resize, to_uint8
from googlenet_keras.errors import UserError
from googlenet_keras.files import atomic_folder, cache_folder

CACHED_SIDE_RATIO = 8 / 7  # shorter side of cached images, in input sides: 256 for 224

log = logging.getLogger(__name__)


def cache_split(split: Split, mode: str, height: int, width: int) -> Split:
    """Returns a copy of `split` that reads its images from memory or from disk.

    mode: "none"; "memory", the encoded bytes; "disk", a folder's files made upright and
    smaller, shorter side 8 / 7 of the larger of `height` and `width`, in the user's
    cache folder until a file changes. Raises UserError for "disk" without files and for
    an image that cannot be read any more.
    """
    if mode == "disk":
        return _on_disk(split, max(height, width))
    if mode != "memory":
        return split
    loaded = split.in_order().map(
        without_autograph(lambda _, label, reference: (label, split.load(reference))),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    with explain_unreadable(split):
        labels, images = zip(*loaded.as_numpy_iterator(), strict=True)
    details = {"class_counts": split.class_counts, "content": split.content}
    return listed_split(images, labels, tf.identity, **details)


def _on_disk(split: Split, input_side: int) -> Split:
    if not split.files or split.listed is None:
        raise UserError("--cache disk needs a folder of images; use --cache memory.")
    side = round(input_side * CACHED_SIDE_RATIO)
    folder = _copies_folder() / _digest(split.files, side)
    # what tidies up caches may have removed some of the copies
    if not folder.exists() or len(os.listdir(folder)) != split.count:
        log.info("smaller, uncompressed copies of the images go to %s", folder)
        try:
            with (
                explain_unreadable(split),
                atomic_folder(folder, replace=folder.exists()) as temporary,
            ):
                _write_copies(split, side, temporary)
        except (tf.errors.OpError, OSError) as error:
            raise UserError(f"the images cannot be cached: {error}") from error
    return listed_split(
        [os.fsencode(folder / str(i)) for i in range(split.count)],
        split.listed[0].numpy(),
        _read,
        class_counts=split.class_counts,
        files=split.files,
        content=PIXELS,
    )


def damaged_copy_error() -> UserError:
    """The error for a copy on the disk that cannot be read any more."""
    return UserError(
        f"a copy of an image in {_copies_folder()} cannot be read any more. Remove "
        "that folder; the copies are made again."
    )


def _copies_folder() -> Path:
    return cache_folder() / "images"


def _digest(files: tuple[Path, ...], side: int) -> str:
    digest = hashlib.sha256(f"{DECODING_VERSION}\n{side}\n".encode())
    for path in files:
        status = path.stat()
        digest.update(os.fsencode(path.absolute()))
        # st_ctime_ns: of a file that is replaced by one of the same size and time
        numbers = status.st_size, status.st_mtime_ns, status.st_ctime_ns
        digest.update(f"\n{numbers}\n".encode())
    return digest.hexdigest()[:32]


def _write_copies(split: Split, side: int, folder: Path) -> None:
    """Writes an upright, reduced copy of each image to a file named by its index."""

    @without_autograph
    def write(index: tf.Tensor, _: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
        image = decode(split.load(reference), at_least=MIN_REMAINING_SHRINK * side)
        size = tf.cast(tf.shape(image)[:2], tf.float32)
        factor = tf.minimum(side / tf.reduce_min(size), 1.0)
        small = resize(image, tf.cast(tf.round(size * factor), tf.int32))
        data = tf.io.serialize_tensor(to_uint8(small))
        path = tf.strings.join([os.fsencode(folder), "/", tf.as_string(index)])
        tf.io.write_file(path, data)
        return index

    written = split.in_order().map(write, num_parallel_calls=tf.data.AUTOTUNE)
    for _ in track(written, "caching images", split.count):
        pass


def _read(path: tf.Tensor) -> tf.Tensor:
    """The pixels of one cached image, [h, w, 3] uint8."""
    image = tf.io.parse_tensor(tf.io.read_file(path), tf.uint8)
    return tf.ensure_shape(image, [None, None, 3])
