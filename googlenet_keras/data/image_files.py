"""Reads image files within limits and names those that are not decoded."""

import os
import re
import stat
from pathlib import Path

import tensorflow as tf

from googlenet_keras.errors import UserError

MAX_BYTES = 1 << 28
MAX_PIXELS = 1 << 27  # 134 million; TensorFlow decodes 178 million of a JPEG
MAX_PIXELS_PER_BYTE = 10_000  # an empty page as PNG has 8,256
LARGEST_12_BIT_VALUE = (1 << 12) - 1
BROKEN, UNREADABLE = "broken or truncated", "unreadable"
DECODED_KINDS = {  # and what such files begin with
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8",
    "BMP": rb"BM",
    "WebP": rb"RIFF....WEBP",
}
OTHER_KINDS = {
    "AVIF": rb"....ftyp.{0,60}avi[fs]",
    "HEIC": rb"....ftyp(hei|hev|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "JPEG 2000": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "Photoshop": rb"8BPS",
    "icon": rb"\0\0\x01\0",
    "SVG": rb"\s*(<[?!][^>]*>\s*)*<svg",
    "PDF": rb"%PDF",
}
# the usual masks of red, green and blue
BMP_MASKS = bytes.fromhex("0000ff00 00ff0000 ff000000")


class ImageFileError(UserError):
    """A file that is not decoded; `problem` says why in some words."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, problem)
        self.problem = problem

    def __str__(self) -> str:
        path, problem = self.args
        return (
            "an image must be a whole JPEG, PNG, GIF, BMP or WebP file; "
            f"{path} is not: {problem}."
        )


def read_image_file(path: Path) -> bytes:
    """The bytes of an image file that may be decoded.

    Only regular files are opened. Raises ImageFileError for others, for kinds that are
    not decoded, more than 256 MB and more pixels than can be; and OSError.
    """
    with open(path, "rb", opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageFileError(path, "no regular file")
        if status.st_size > MAX_BYTES:
            size = f"{status.st_size:,}, at most {MAX_BYTES:,}"
            raise ImageFileError(path, f"too many bytes ({size})")
        data = file.read(MAX_BYTES)
    try:
        problem = _refusal(data)
    except tf.errors.OpError as error:
        raise ImageFileError(path, BROKEN) from error
    if problem:
        raise ImageFileError(path, problem)
    return data


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # for a pipe's writer


def _refusal(data: bytes) -> str | None:
    """Why an image file is not decoded, by its header; None: it may be whole."""
    kinds = (DECODED_KINDS | OTHER_KINDS).items()
    kind = next((k for k, start in kinds if re.match(start, data, re.DOTALL)), None)
    if kind is None:
        return "no image" if data else "empty"
    if kind not in DECODED_KINDS:
        return f"{kind} (convert it to JPEG or PNG)"
    if kind == "BMP" and (problem := _bmp_refusal(data)):
        return problem
    width, height = _declared_size(kind, data)
    most = min(MAX_PIXELS, MAX_PIXELS_PER_BYTE * len(data))
    if width * height > most:
        size = f"{width} x {height} in {len(data):,} bytes, at most {most:,}"
        return f"too many pixels ({size})"
    if kind == "PNG" and data[24:25] == b"\x10":
        return _png16_refusal(data)
    return None


def _declared_size(kind: str, data: bytes) -> tuple[int, int]:
    """Width and height in the header of a file; anything for a broken one."""
    if kind == "JPEG":
        height, width, _ = tf.io.extract_jpeg_shape(data).numpy().tolist()
        return width, height
    if kind == "PNG":
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if kind == "GIF":
        return _little(data[6:8]), _little(data[8:10])
    if kind == "BMP":
        height = int.from_bytes(data[22:26], "little", signed=True)
        return _little(data[18:22]), abs(height)  # below 0: from the top
    if data[12:16] == b"VP8X":
        return 1 + _little(data[24:27]), 1 + _little(data[27:30])
    if data[12:16] == b"VP8L":
        sides = _little(data[21:25])
        return 1 + sides % (1 << 14), 1 + (sides >> 14) % (1 << 14)
    return _little(data[26:28]) % (1 << 14), _little(data[28:30]) % (1 << 14)


def _little(digits: bytes) -> int:
    return int.from_bytes(digits, "little")


def _bmp_refusal(data: bytes) -> str | None:
    header, bits, compression = data[14:18], _little(data[28:30]), _little(data[30:34])
    is_masked = compression == 3 and (bits, data[54:66]) != (32, BMP_MASKS)
    if _little(header) == 12:
        return "BMP of OS/2 (convert it to PNG)"
    if bits in (2, 16, 64) or is_masked or compression in (1, 2, 4, 5):
        kind = f"{bits} bits, compression {compression}"
        return f"BMP of an unusual kind ({kind}: convert it to PNG)"
    return None


def _png16_refusal(data: bytes) -> str | None:
    largest = int(tf.reduce_max(tf.io.decode_png(data, 3, tf.uint16)))
    if 0 < largest <= LARGEST_12_BIT_VALUE:
        size = f"its largest value is {largest} of 65535: scale all to 16 bits"
        return f"nearly black 16-bit PNG ({size})"
    return None
