"""Protobuf's wire format, as far as files of weights need it, with bounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from googlenet_keras.errors import UserError

FIELDS = 200_000  # of one file; GoogLeNet's have a tenth of it
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIDTHS = {FIXED64: 8, FIXED32: 4}


@dataclass
class Reader:
    """Walks through messages; all of a file share one allowance of fields.

    A library would make an object of each field first, however many there are.
    """

    left: int = FIELDS

    def fields(self, data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """(number, value) of each field: an int, or the bytes of anything else.

        Raises UserError where the message is cut or has too many fields.
        """
        place = 0
        while place < len(data):
            self.left -= 1
            if self.left < 0:
                raise UserError("it has more parts than any network.")
            tag, place = _varint(data, place)
            kind = tag & 7
            if kind == VARINT:
                value, place = _varint(data, place)
                yield tag >> 3, value
                continue
            if kind == BYTES:
                length, place = _varint(data, place)
            elif kind in WIDTHS:
                length = WIDTHS[kind]
            else:
                raise UserError(f"there is no wire type {kind}.")
            if length > len(data) - place:
                raise UserError("a field is longer than what is left of the file.")
            yield tag >> 3, data[place : place + length]
            place += length

    def numbers(self, value: int | memoryview) -> list[int]:
        """One whole number, or those packed in a field, below 2**63."""
        if isinstance(value, int):
            return [value]
        found, place = [], 0
        while place < len(value):
            self.left -= 1
            if self.left < 0:
                raise UserError("it has more numbers than any network's shapes.")
            number, place = _varint(value, place)
            found.append(number)
        return found


def text(value: int | memoryview) -> str:
    """The text of a field."""
    return bytes(value).decode(errors="replace") if not isinstance(value, int) else ""


def floats(value: memoryview | int, shape: list[int], name: str) -> np.ndarray:
    """A field's float32 numbers in `shape`. Raises UserError where they do not fit."""
    try:
        return np.frombuffer(value, "<f4").reshape(shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"the numbers of {name!r:.80} are damaged: {error}.") from error


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise UserError("it ends within a number.")
        byte = data[place]
        value |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return value, place
    raise UserError("a number has more than ten bytes.")
