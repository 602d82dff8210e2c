"""Finds the EXIF orientation of image files, within TensorFlow."""

from collections.abc import Callable
from functools import partial

import tensorflow as tf

from googlenet_keras.data.segments import (
    HEAD_BYTES,
    bytes_at,
    find_png_chunk,
    find_riff_chunk,
    may_hold,
    number,
    walk,
)

ORIENTATION_TAG = 0x0112  # EXIF 2.3, table 4
# of a TIFF header and a directory: TIFF 6.0, section 2
LITTLE_ENDIAN, BIG_ENDIAN, TIFF_NUMBER = 0x4949, 0x4D4D, 42
SHORT, LONG, ENTRY_BYTES = 3, 4, 12
MAX_ENTRIES = 256  # that are read; they are sorted by tags, and this is an early one
JPEG_SIGNATURE = b"\xff\xd8\xff"
EXIF_LETTERS = b"Exif\0\0"  # before the TIFF header in a JPEG, and in some WebP files
APP1 = 0xE1  # the marker of a JPEG's segment with EXIF or XMP
# from a JPEG's marker to the next: -1 if a length follows; 0 at the scan and the end
JPEG_DISTANCES = [-1] * 256
JPEG_DISTANCES[0x00] = JPEG_DISTANCES[0xD9] = JPEG_DISTANCES[0xDA] = 0
JPEG_DISTANCES[0x01] = 2
JPEG_DISTANCES[0xD0:0xD9] = [2] * 9
JPEG_DISTANCES[0xFF] = 1  # a fill byte


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of an image file, 1 to 8; 1 if it has none.

    It stands in the first APP1 segment with Exif before a JPEG's scan, in a PNG's eXIf
    or a WebP's EXIF chunk, as SHORT or LONG.
    """
    first = tf.strings.substr(encoded, 0, 1)
    kind = tf.reduce_min(tf.where(first == list(FINDERS), tf.range(3), 3))

    def orientation() -> tf.Tensor:
        branches = [partial(find, encoded) for _, find in FINDERS.values()]
        place = tf.switch_case(kind, [*branches, lambda: tf.constant(-1)])
        return tf.cond(
            place >= 0, lambda: _orientation_at(encoded, place), lambda: tf.constant(1)
        )

    names = [name for name, _ in FINDERS.values()]
    may_have = may_hold(encoded, tf.gather([*names, EXIF_LETTERS], kind))
    return tf.cond(may_have, orientation, lambda: tf.constant(1))


def is_upright_jpeg(data: bytes) -> bool:
    """Whether `data` is a JPEG whose EXIF orientation is upright."""
    if not data.startswith(JPEG_SIGNATURE):
        return False
    return EXIF_LETTERS not in data or int(exif_orientation(data)) == 1


def _exif_in_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    def step(head: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        distance = tf.gather(JPEG_DISTANCES, head[1])
        distance = tf.where(distance < 0, number(head[2:4]) + 2, distance)
        return tf.where((head[0] != 0xFF) | _is_exif(head), 0, distance), state

    place, _ = walk(encoded, 2, step)
    found = _is_exif(bytes_at(encoded, place, HEAD_BYTES))
    return tf.where(found, place + 4, -1)


def _is_exif(head: tf.Tensor) -> tf.Tensor:
    return (head[1] == APP1) & tf.reduce_all(head[4:10] == list(EXIF_LETTERS))


# by the first byte of a file: what is where its EXIF block is, and how that is found
FINDERS: dict[bytes, tuple[bytes, Callable[..., tf.Tensor]]] = {
    b"\xff": (EXIF_LETTERS, _exif_in_jpeg),
    b"\x89": (b"eXIf", partial(find_png_chunk, name=b"eXIf", last=b"IEND")),
    b"R": (b"EXIF", partial(find_riff_chunk, name=b"EXIF")),
}


def _orientation_at(encoded: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """The orientation in the first directory of the EXIF block at `place`."""
    letters = bytes_at(encoded, place, len(EXIF_LETTERS))
    place += tf.where(
        tf.reduce_all(letters == list(EXIF_LETTERS)), len(EXIF_LETTERS), 0
    )
    header = bytes_at(encoded, place, 8)
    order, size = number(header[:2]), tf.strings.length(encoded)

    def integer(digits: tf.Tensor) -> tf.Tensor:
        return number(tf.where(order == LITTLE_ENDIAN, digits[..., ::-1], digits))

    is_tiff = tf.reduce_any(order == [LITTLE_ENDIAN, BIG_ENDIAN])
    is_tiff &= integer(header[2:4]) == TIFF_NUMBER
    offset = integer(header[4:8])
    has_directory = is_tiff & (offset > 0) & (offset < size)
    directory = tf.where(has_directory, place + offset, size)
    count = integer(bytes_at(encoded, directory, 2))
    entries = bytes_at(encoded, directory + 2, MAX_ENTRIES * ENTRY_BYTES)
    entries = tf.reshape(entries, [MAX_ENTRIES, ENTRY_BYTES])[: tf.maximum(count, 0)]
    tags, types = integer(entries[:, :2]), integer(entries[:, 2:4])
    long = tf.where(types == LONG, integer(entries[:, 8:12]), 1)
    values = tf.where(types == SHORT, integer(entries[:, 8:10]), long)
    found = tf.boolean_mask(values, tags == ORIENTATION_TAG)
    value = tf.concat([found, [1]], axis=0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)
