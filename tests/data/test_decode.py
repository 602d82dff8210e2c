import io

import numpy as np
import pytest
import tensorflow as tf
from making_pictures import (
    LONG,
    SHORT,
    bmp,
    bmp32,
    encoded,
    png16,
    scene,
    stripes,
    transparent_files,
    turned_files,
    upright,
)
from PIL import Image

from googlenet_keras.data import decode

RGB = Image.fromarray(scene())
FORMATS = {
    "jpeg": (RGB, "JPEG", {"quality": 95}),
    "gray jpeg": (RGB.convert("L"), "JPEG", {"quality": 95}),
    "cmyk jpeg": (RGB.convert("CMYK"), "JPEG", {"quality": 95}),
    "progressive jpeg": (RGB, "JPEG", {"quality": 95, "progressive": True}),
    "png": (RGB, "PNG", {}),
    "palette png": (RGB.quantize(64), "PNG", {}),
    "alpha png": (RGB.convert("RGBA"), "PNG", {}),
    "gray png": (RGB.convert("L"), "PNG", {}),
    "bmp": (RGB, "BMP", {}),
    "palette bmp": (RGB.quantize(64), "BMP", {}),
    "gray bmp": (RGB.convert("L"), "BMP", {}),
    "1-bit bmp": (RGB.convert("1"), "BMP", {}),
    "1-bit png": (RGB.convert("1"), "PNG", {}),
    "webp": (RGB, "WEBP", {"lossless": True}),
    "gif": (RGB.quantize(64), "GIF", {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_pixels_that_pillow_gives(name):
    image, kind, options = FORMATS[name]
    data = encoded(image, kind, **options)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    for found in (
        decode.decode(data),
        next(iter(tf.data.Dataset.from_tensors(data).map(decode.decode))),
    ):
        assert found.dtype == tf.uint8
        tolerance = 6 if "jpeg" in name else 0  # decoders upsample color differently
        np.testing.assert_allclose(
            tf.cast(found, tf.int32), expected.astype(int), atol=tolerance
        )


def test_16_bit_png_keeps_its_upper_bits():
    gray = scene()[..., 0].astype(np.uint16) * 257
    data = tf.io.encode_png(gray[..., None])
    np.testing.assert_array_equal(decode.decode(data)[..., 1], scene()[..., 0])


def test_the_first_frame_of_an_animation():
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (50, 200)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode.decode(data), np.full((8, 8, 3), 50))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("kind", [SHORT, LONG])
def test_every_kind_is_turned_as_its_exif_block_says(turn, order, kind):
    for name, data in turned_files(turn, order, kind).items():
        stored = decode.decode_unoriented(data).numpy()
        np.testing.assert_allclose(
            stored.astype(int), scene(), atol=6 if "jpeg" in name else 0
        )
        found = decode.decode(data)
        np.testing.assert_array_equal(found, upright(stored, turn), name)


@pytest.mark.parametrize("name", transparent_files())
def test_what_is_transparent_is_black(name):
    data, colors = transparent_files()[name]
    expected = np.tile(np.repeat(np.uint8(colors), 3, axis=0), (6, 1, 1))
    in_graph = next(iter(tf.data.Dataset.from_tensors(data).map(decode.decode)))
    np.testing.assert_array_equal(decode.decode(data), expected)
    np.testing.assert_array_equal(in_graph, expected)


def test_an_animation_without_transparency_is_its_first_frame():
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "blue")]
    for kind in ("WEBP", "GIF", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        found = decode.decode(data).numpy().astype(int)
        assert found.shape == (10, 20, 3)
        assert np.abs(found - (255, 0, 0)).max() <= 3, kind


def test_a_damaged_second_frame_leaves_the_first_as_it_is():
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode.decode(data[:-8])[0, 0], (255, 0, 0))


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_a_bmp_with_a_palette_has_its_colors(bits):
    numbers = np.random.default_rng(0).integers(0, 2**bits, (5, 7))
    palette = np.random.default_rng(1).integers(0, 256, (2**bits, 3), np.uint8)
    found = decode.decode(bmp(numbers, palette, bits))
    np.testing.assert_array_equal(found, palette[numbers])


def test_a_bmp_is_read_from_the_top_or_the_bottom_and_may_have_more_bytes():
    expected = scene(5, 7)
    data = encoded(expected, "BMP")
    np.testing.assert_array_equal(decode.decode(data + b"\0\0"), expected)
    # the fourth byte of such a pixel is of no meaning
    found = decode.decode(bmp32(stripes(), has_alpha=False))
    np.testing.assert_array_equal(found, stripes()[..., :3])


def test_16_bits_become_8_of_color_too():
    wide = scene(5, 7).astype(np.uint16) * 257
    np.testing.assert_array_equal(decode.decode(png16(wide)), scene(5, 7))


@pytest.mark.parametrize(
    ("shrink", "ratio"), [(0.3, 1), (1.9, 1), (2.0, 2), (3.9, 2), (4.1, 4), (90.0, 8)]
)
def test_large_jpegs_are_decoded_smaller(shrink, ratio):
    data = encoded(Image.fromarray(scene(160, 240)), "JPEG", quality=95)
    found = decode.decode_downscaled(data, tf.constant(shrink))
    assert found.shape == (160 // ratio, 240 // ratio, 3)
    whole = decode.decode(data).numpy().astype(float)
    means = whole.reshape(160 // ratio, ratio, 240 // ratio, ratio, 3).mean((1, 3))
    assert np.abs(means - found.numpy()).mean() < 2


@pytest.mark.parametrize("ratio", [1, 2])
def test_a_window_decodes_like_the_whole(ratio):
    data = encoded(RGB, "JPEG", quality=95)
    window = decode.decode_jpeg_window(
        data, tf.constant([8, 16]), tf.constant([20, 30]), tf.constant(ratio - 1)
    )
    whole = tf.io.decode_jpeg(data, ratio=ratio)
    rows, columns = slice(8 // ratio, 28 // ratio), slice(16 // ratio, 46 // ratio)
    # the colors of the outermost pixels are upsampled from inside the window alone
    expected = tf.cast(whole[rows, columns], tf.int32)
    np.testing.assert_allclose(tf.cast(window, tf.int32), expected, atol=3)
    inner = (slice(2, -2), slice(2, -2))
    np.testing.assert_array_equal(tf.cast(window, tf.int32)[inner], expected[inner])


def test_files_that_are_no_images_raise():
    starts = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF????WEBP")
    for data in (b"", b"text", b"\0", *starts, *(x + b"x" * 80 for x in starts)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode.decode(data)
