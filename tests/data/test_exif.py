import time

import numpy as np
import pytest
import tensorflow as tf
from making_pictures import (
    BEFORE_EXIF,
    LONG,
    SHORT,
    XMP,
    encoded,
    jpeg_with_exif,
    png_with,
    scene,
    segment,
    tiff,
    turned_files,
)

from googlenet_keras.data import segments
from googlenet_keras.data.exif import exif_orientation, is_upright_jpeg

JPEG = encoded(scene(), "JPEG")
PNG = encoded(scene(), "PNG")


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("kind", [SHORT, LONG])
def test_the_orientation_is_found_wherever_it_is(turn, order, kind):
    files = turned_files(turn, order, kind)
    images = tf.data.Dataset.from_tensor_slices(list(files.values()))
    in_graph = dict(zip(files, images.map(exif_orientation), strict=True))
    for name, data in files.items():
        assert int(exif_orientation(data)) == int(in_graph[name]) == turn, name
        is_upright = name.endswith(".jpg") and turn == 1
        assert is_upright_jpeg(data) == is_upright, name


def test_files_without_exif_are_upright():
    others = [encoded(scene(), kind) for kind in ("GIF", "BMP", "WEBP")]
    for data in (JPEG, PNG, *others, b"", b"\xff", b"\xff\xd8\xff", b"RIFF", b"text"):
        assert int(exif_orientation(data)) == 1
    assert is_upright_jpeg(JPEG)
    assert not is_upright_jpeg(PNG)


def test_the_first_block_counts_and_xmp_never():
    xmp = JPEG[:20] + segment(0xE1, XMP) + JPEG[20:]
    assert int(exif_orientation(xmp)) == 1
    assert (
        int(exif_orientation(jpeg_with_exif(jpeg_with_exif(JPEG, tiff(3)), tiff(6))))
        == 6
    )


def test_an_exif_segment_behind_the_scan_is_none():
    behind = JPEG[:-2] + segment(0xE1, b"Exif\0\0" + tiff(6)) + JPEG[-2:]
    assert int(exif_orientation(behind)) == 1
    assert is_upright_jpeg(behind)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II*\0",
        b"II*\0\0\0\0\0",
        b"II*\0\xff\xff\xff\x7f",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff" * 9,
        tiff(6).replace(b"II*", b"IM*"),
        tiff(6).replace(b"II*", b"II+"),
        tiff(0),
        tiff(9),
        tiff(0x60006, "MM", LONG),
    ],
)
def test_a_damaged_block_is_no_orientation(block):
    for data in (jpeg_with_exif(JPEG, block), png_with(PNG, b"eXIf", block)):
        assert int(exif_orientation(data)) == 1


def test_a_file_cut_anywhere_is_no_error():
    for data in turned_files(6).values():
        for length in np.linspace(0, min(len(data), 400), 40, dtype=int):
            assert int(exif_orientation(data[:length])) in (1, 6)


def test_a_file_of_nothing_but_segments_ends():
    start = time.process_time()
    for data in (b"\xff\xd8" + b"\xff" * 10_000_000, PNG[:8] + bytes(10_000_000)):
        assert int(exif_orientation(data)) == 1
    assert time.process_time() - start < 10
    assert segments.MAX_SEGMENTS > 10_000  # 80 MB of a PNG in chunks of 8 kB


def test_long_segments_are_skipped_not_read():
    data = jpeg_with_exif(JPEG, tiff(6))
    many = JPEG[:20] + BEFORE_EXIF["ICC in two segments"] * 50 + data[20:]
    assert len(many) > 5_000_000
    assert int(exif_orientation(many)) == 6
