import os
import re

import numpy as np
import pytest
from making_pictures import bmp, bmp_file, encoded, png16, scene, webp_with_exif

from googlenet_keras.data.image_files import ImageFileError, read_image_file

PNG = encoded(scene(), "PNG")
WEBP = encoded(scene(), "WEBP", lossless=True)


def changed(data, place, content):
    """`data` with other bytes at a place."""
    return data[:place] + content + data[place + len(content) :]


OS2_HEADER = b"\x0c\0\0\0\4\0\4\0\1\0\x18\0"
DARK = (
    "nearly black 16-bit PNG (its largest value is 4095 of 65535: scale all to 16 bits)"
)
REFUSED = {
    "empty": b"",
    "no image": b"<html>not found</html>",
    "AVIF (convert it to JPEG or PNG)": encoded(scene(), "AVIF"),
    "HEIC (convert it to JPEG or PNG)": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "TIFF (convert it to JPEG or PNG)": encoded(scene(), "TIFF"),
    "JPEG XL (convert it to JPEG or PNG)": b"\xff\x0a\x10\x20",
    "JPEG 2000 (convert it to JPEG or PNG)": encoded(scene(), "JPEG2000"),
    "icon (convert it to JPEG or PNG)": encoded(scene(), "ICO"),
    "SVG (convert it to JPEG or PNG)": b'<?xml version="1.0"?>\n<!-- x -->\n<svg/>',
    DARK: png16(np.full((4, 4, 1), 4095, np.uint16)),
    "BMP of an unusual kind (8 bits, compression 1: convert it to PNG)":
        changed(bmp(np.zeros((4, 4), int), [(0, 0, 0)], 8), 30, b"\1"),
    "BMP of an unusual kind (16 bits, compression 0: convert it to PNG)":
        changed(bmp(np.zeros((4, 4), int), [(0, 0, 0)], 8), 28, b"\x10"),
    "BMP of OS/2 (convert it to PNG)": bmp_file(OS2_HEADER, bytes(48)),
    "broken or truncated": b"\xff\xd8\xff" + b"x" * 40,
}  # fmt: skip


@pytest.mark.parametrize("problem", REFUSED)
def test_what_is_not_decoded_is_named(tmp_path, problem):
    path = tmp_path / "a.jpg"
    path.write_bytes(REFUSED[problem])
    with pytest.raises(ImageFileError, match="JPEG, PNG, GIF, BMP or WebP") as raised:
        read_image_file(path)
    assert raised.value.problem == problem
    assert str(raised.value).endswith(f"a.jpg is not: {problem}.")


def test_whole_files_are_read_whatever_their_names(tmp_path):
    path = tmp_path / "a.txt"
    dark = png16(np.full((4, 4, 3), 4096, np.uint16))
    black = png16(np.zeros((4, 4, 1), np.uint16))
    kinds = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
    for data in (*(encoded(scene(), kind) for kind in kinds), dark, black):
        path.write_bytes(data)
        assert read_image_file(path) == data


JPEG_SIZE = encoded(scene(), "JPEG").index(b"\xff\xc0") + 5  # height, then width
TOO_LARGE = {
    "jpg": changed(encoded(scene(), "JPEG"), JPEG_SIZE, b"\xf0\0\xf0\0"),
    "png": changed(PNG, 16, b"\0\1\0\0\0\1\0\0"),
    "gif": changed(encoded(scene(), "GIF"), 6, b"\xff\xff\xff\xff"),
    "bmp": changed(encoded(scene(), "BMP"), 18, b"\0\0\1\0\0\0\xff\xff"),
    "webp": changed(WEBP, 21, b"\xff\xff\xff\x0f"),
    "lossy.webp": changed(encoded(scene(), "WEBP"), 26, b"\xff\x3f\xff\x3f"),
    "extended.webp": webp_with_exif(WEBP, (20_000, 30_000), b""),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_size_that_cannot_be_is_refused_before_it_is_decoded(tmp_path, name):
    (tmp_path / name).write_bytes(TOO_LARGE[name])
    with pytest.raises(ImageFileError, match=r"too many pixels \(\d+ x \d+ in"):
        read_image_file(tmp_path / name)


def test_an_empty_page_is_no_trap(tmp_path):
    page = encoded(np.zeros((7000, 5000), bool), "PNG")
    assert 7000 * 5000 / len(page) > 7500
    (tmp_path / "page.png").write_bytes(page)
    assert read_image_file(tmp_path / "page.png") == page


def test_a_sparse_file_of_4_gb_is_not_read(tmp_path):
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.write(b"\xff\xd8\xff")
        file.truncate(1 << 32)
    message = re.escape("too many bytes (4,294,967,296, at most 268,435,456)")
    with pytest.raises(ImageFileError, match=message):
        read_image_file(path)


def test_pipes_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    for name in ("pipe.jpg", "zero.jpg"):
        with pytest.raises(ImageFileError, match="is not: no regular file"):
            read_image_file(tmp_path / name)
