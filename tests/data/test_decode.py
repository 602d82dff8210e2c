import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from googlenet_keras.data import decode


def photo(height=48, width=64):
    """Smooth colors, so that JPEG changes them little, and no symmetry."""
    rows, columns = np.mgrid[:height, :width]
    channels = (rows * 4, columns * 3, (rows + columns) * 2)
    return np.stack(channels, -1).clip(0, 255).astype(np.uint8)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


RGB = Image.fromarray(photo())
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
    gray = photo()[..., 0].astype(np.uint16) * 257
    data = tf.io.encode_png(gray[..., None])
    np.testing.assert_array_equal(decode.decode(data)[..., 1], photo()[..., 0])


def test_the_first_frame_of_an_animation():
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (50, 200)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode.decode(data), np.full((8, 8, 3), 50))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("order", ["II", "MM"])
def test_exif_orientation_is_applied(turn, order):
    exif = Image.Exif()
    exif.endian = "<" if order == "II" else ">"
    exif[0x010F] = "a camera"
    exif[decode.EXIF_ORIENTATION_TAG] = turn
    data = encoded(RGB, "JPEG", quality=95, exif=exif)
    assert int(decode.exif_orientation(data)) == turn
    plain = Image.open(io.BytesIO(data))
    expected = np.asarray(ImageOps.exif_transpose(plain)).astype(int)
    found = decode.decode(data).numpy().astype(int)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=6)


def test_orientation_with_and_without_a_jfif_block_before_it():
    exif = Image.Exif()
    exif[decode.EXIF_ORIENTATION_TAG] = 6
    data = encoded(RGB, "JPEG", exif=exif)
    assert data[6:10] == b"JFIF"
    assert int(decode.exif_orientation(data)) == 6
    bare = data[:2] + data[20:]
    assert bare[6:10] == b"Exif"
    assert int(decode.exif_orientation(bare)) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    "tiff", [b"", b"II*\0", b"II*\0\xff\xff\xff\x7f", b"MM\0*\0\0\0\x08\xff\xff" * 9]
)
def test_a_damaged_exif_block_is_no_orientation(tiff):
    data = b"\xff\xd8\xff\xe1\0\x20Exif\0\0" + tiff + b"\0" * 30
    assert int(decode.exif_orientation(data)) == 1


@pytest.mark.parametrize(
    ("shrink", "ratio"), [(0.3, 1), (1.9, 1), (2.0, 2), (3.9, 2), (4.1, 4), (90.0, 8)]
)
def test_large_jpegs_are_decoded_smaller(shrink, ratio):
    data = encoded(Image.fromarray(photo(160, 240)), "JPEG", quality=95)
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
    for data in (b"", b"text", b"\xff\xd8\xff" + b"x" * 40):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode.decode(data)
