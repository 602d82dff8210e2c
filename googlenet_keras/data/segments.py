"""Finds the segments of image files within TensorFlow, reading their heads only."""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

HEAD_BYTES = 16
MAX_SEGMENTS = 1 << 14  # that are passed, so that no file takes for ever
SEARCHED_BYTES = 1 << 16  # a search through more costs as much as a walk

Step: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""From a segment's first bytes, [HEAD_BYTES] int32, and a state to the distance of the
next segment, 0 to stop at this one, and the next state."""


def bytes_at(encoded: tf.Tensor, place: tf.Tensor, count: int) -> tf.Tensor:
    """The bytes at `place` as [count] int32; beyond the end of the file they are 0."""
    place = tf.clip_by_value(place, 0, tf.strings.length(encoded))
    part = tf.strings.substr(encoded, place, count)
    return tf.cast(tf.io.decode_raw(part, tf.uint8, fixed_length=count), tf.int32)


def number(digits: tf.Tensor) -> tf.Tensor:
    """The integers in big-endian bytes, [..., 1 to 4]; from 2**31 on they wrap."""
    powers = [1 << 24, 1 << 16, 1 << 8, 1][-digits.shape[-1] :]
    return tf.reduce_sum(digits * powers, axis=-1)


def walk(
    encoded: tf.Tensor, start: tf.Tensor, step: Step, state: tf.Tensor = 0
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the place of the segment at which `step` stops, and the state there.

    start: the place of the first one. Without such a segment, and after 16,384 of them,
    it stops wherever it is.
    """
    size = tf.strings.length(encoded)

    def advance(place: tf.Tensor, distance: tf.Tensor, state: tf.Tensor) -> tuple:
        place += tf.minimum(distance, size - place)
        return place, *step(bytes_at(encoded, place, HEAD_BYTES), state)

    place, _, state = tf.while_loop(
        lambda place, distance, _: (distance > 0) & (place < size),
        advance,
        (0, start, state),
        maximum_iterations=MAX_SEGMENTS,
    )
    return place, state


def may_hold(encoded: tf.Tensor, name: bytes | tf.Tensor) -> tf.Tensor:
    """Whether the bytes `name` are in a file; True for a file of more than 64 kB."""
    start = tf.strings.substr(encoded, 0, SEARCHED_BYTES)
    pieces = tf.raw_ops.StringSplitV2(input=[start], sep=name, maxsplit=1)
    return (tf.strings.length(encoded) > SEARCHED_BYTES) | (pieces.shape[1] > 1)


def find_png_chunk(encoded: tf.Tensor, name: bytes, last: bytes) -> tf.Tensor:
    """The place of the content of the first chunk `name` before `last`; -1: none."""
    wanted, end = (int.from_bytes(x, "big") for x in (name, last))

    def step(head: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = number(head[4:8])
        stops = (found == wanted) | (found == end)
        return tf.where(stops, 0, number(head[:4]) + 12), state

    place, _ = walk(encoded, 8, step)
    found = number(bytes_at(encoded, place + 4, 4)) == wanted
    return tf.where(found, place + 8, -1)


def find_riff_chunk(encoded: tf.Tensor, name: bytes) -> tf.Tensor:
    """The place of the content of the first chunk `name` of a WebP file; -1: none."""
    wanted = int.from_bytes(name, "big")

    def step(head: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = number(head[7:3:-1])
        padded = size + size % 2
        return tf.where(number(head[:4]) == wanted, 0, padded + 8), state

    place, _ = walk(encoded, 12, step)
    found = number(bytes_at(encoded, place, 4)) == wanted
    return tf.where(found, place + 8, -1)
