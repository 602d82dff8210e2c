"""Decodes image files to upright RGB, with no more pixels than are needed."""

from functools import partial

import tensorflow as tf

# what browsers and phones do; the default darkens by 0.8
ACCURATE_DCT = "INTEGER_ACCURATE"
JPEG_RATIOS = (1, 2, 4, 8)  # what libjpeg divides the sides by while it decodes
EXIF_ORIENTATION_TAG = 0x0112  # EXIF 2.3, table 4
EXIF_BYTES = 4096  # holds the first directory of any EXIF block that a camera writes
JPEG_SIGNATURE = b"\xff\xd8\xff"
EXIF_LETTERS = b"Exif\0\0"
EXIF_OFFSETS = (6, 24)  # of these letters in a JPEG: at its start, after a JFIF block
FIRST_TRANSPOSED_ORIENTATION = 5  # EXIF's 5 to 8 exchange rows and columns


def decode(encoded: tf.Tensor, at_least: float | None = None) -> tf.Tensor:
    """Decodes an image to upright RGB pixels: [h, w, 3] uint8.

    JPEG (gray, CMYK and progressive too), PNG, BMP, still WebP, a GIF's first frame.
    Alpha is dropped, 16 bits become 8. A JPEG is turned as its EXIF block says, if that
    comes first or right after the JFIF block. at_least: a JPEG is decoded smaller, as
    long as its shorter side keeps so many pixels. Raises
    tf.errors.InvalidArgumentError for anything else.
    """

    def decode_smaller() -> tf.Tensor:
        short_side = tf.reduce_min(tf.io.extract_jpeg_shape(encoded)[:2])
        return decode_downscaled(encoded, tf.cast(short_side, tf.float32) / at_least)

    if at_least is None:
        stored = decode_unoriented(encoded)
    else:
        stored = tf.cond(
            tf.io.is_jpeg(encoded), decode_smaller, lambda: decode_unoriented(encoded)
        )
    return apply_orientation(stored, exif_orientation(encoded))


def decode_unoriented(encoded: tf.Tensor) -> tf.Tensor:
    """The image as it is stored, [h, w, 3] uint8 RGB, without its EXIF orientation."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def decode_downscaled(encoded: tf.Tensor, shrink: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG at 1, 1/2, 1/4 or 1/8 of its size, as small as `shrink` allows.

    libjpeg averages over ratio x ratio pixels, so nothing is aliased.
    """
    decode = partial(tf.io.decode_jpeg, encoded, channels=3, dct_method=ACCURATE_DCT)
    branches = [partial(decode, ratio=ratio) for ratio in JPEG_RATIOS]
    at_most = tf.cast(tf.constant(JPEG_RATIOS, tf.float32) <= shrink, tf.int32)
    return tf.switch_case(tf.maximum(tf.reduce_sum(at_most) - 1, 0), branches)


def decode_jpeg_window(
    encoded: tf.Tensor, begin: tf.Tensor, size: tf.Tensor, index: tf.Tensor
) -> tf.Tensor:
    """Decodes only a window of a JPEG, at 1 / JPEG_RATIOS[index] of its size.

    begin, size: [row, column] and [height, width] in pixels of the whole image, cut to
    multiples of the ratio.
    """
    divisor = tf.gather(JPEG_RATIOS, index)
    window = tf.concat([begin, tf.maximum(size, divisor)], 0) // divisor
    decode = partial(tf.image.decode_and_crop_jpeg, encoded, window, channels=3)
    branches = [partial(decode, ratio=ratio) for ratio in JPEG_RATIOS]
    return tf.switch_case(index, branches)


def is_upright_jpeg(data: bytes) -> bool:
    """Whether `data` is a JPEG whose EXIF orientation is upright."""
    if not data.startswith(JPEG_SIGNATURE):
        return False
    return EXIF_LETTERS not in data[:EXIF_BYTES] or int(exif_orientation(data)) == 1


def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of an image file, 1 to 8; 1 if it has none."""
    marks = tf.strings.substr(encoded, EXIF_OFFSETS, [len(EXIF_LETTERS)] * 2)
    letters = tf.reduce_max(tf.where(marks == EXIF_LETTERS, EXIF_OFFSETS, -1))
    return tf.cond(
        letters >= 0,
        lambda: _orientation_entry(encoded, letters + len(EXIF_LETTERS)),
        lambda: tf.constant(1),
    )


def _orientation_entry(encoded: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The orientation in the first directory of the TIFF header that begins there."""
    tiff = tf.strings.substr(encoded, start, EXIF_BYTES)
    data = tf.cast(tf.io.decode_raw(tiff, tf.uint8), tf.int32)
    data = tf.pad(data, [[0, EXIF_BYTES - tf.size(data)]])
    little = data[0] == ord("I")

    def number(place: tf.Tensor, width: int) -> tf.Tensor:
        places = tf.clip_by_value(place + tf.range(width), 0, EXIF_BYTES - 1)
        digits = tf.gather(data, places)
        digits = tf.where(little, digits[::-1], digits)
        return tf.reduce_sum(digits * tf.constant([1 << 24, 1 << 16, 256, 1])[-width:])

    first = number(4, 4)
    count = tf.clip_by_value(number(first, 2), 0, EXIF_BYTES // 12)
    places = first + 2 + 12 * tf.range(count)
    tags = tf.map_fn(lambda place: number(place, 2), places)
    place = tf.boolean_mask(places, tags == EXIF_ORIENTATION_TAG)
    value = tf.cond(
        tf.size(place) > 0, lambda: number(place[0] + 8, 2), lambda: tf.constant(1)
    )
    return tf.where((value >= 1) & (value <= 8), value, 1)


def apply_orientation(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Rotates and mirrors `image` [h, w, 3] upright, as its EXIF `orientation` says."""

    def upright() -> tf.Tensor:
        transpose = orientation >= FIRST_TRANSPOSED_ORIENTATION
        x = tf.cond(transpose, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        # what is left after the transposition: rows, columns or both reversed
        reversed_rows = tf.reduce_any(orientation == [3, 4, 7, 8])
        reversed_columns = tf.reduce_any(orientation == [2, 3, 6, 7])
        x = tf.cond(reversed_rows, lambda: x[::-1], lambda: x)
        return tf.cond(reversed_columns, lambda: x[:, ::-1], lambda: x)

    return tf.cond(orientation > 1, upright, lambda: image)
