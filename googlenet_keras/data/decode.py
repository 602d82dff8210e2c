"""Decodes image files to upright RGB, with no more pixels than are needed.

What is transparent is black, as on a phone's or a browser's canvas.
"""

from functools import partial

import tensorflow as tf

from googlenet_keras.data.exif import exif_orientation
from googlenet_keras.data.segments import (
    bytes_at,
    find_png_chunk,
    may_hold,
    number,
    walk,
)

DECODING_VERSION = 2  # of what the functions below give; part of the names of caches
# what browsers and phones do; the default darkens by 0.8
ACCURATE_DCT = "INTEGER_ACCURATE"
JPEG_RATIOS = (1, 2, 4, 8)  # what libjpeg divides the sides by while it decodes
FIRST_TRANSPOSED_ORIENTATION = 5  # EXIF's 5 to 8 exchange rows and columns
PNG_ALPHA = 4  # this bit of a PNG's color type
GIF_EXTENSION, GIF_GRAPHIC_CONTROL, GIF_TABLE = 0x21, 0xF9, 0x80
WEBP_ALPHA = 0x10  # this bit of the flags of a WebP's VP8X chunk
BMP_BITS, BMP_PALETTE_BITS = (1, 4, 8, 24, 32), 8  # of a pixel; up to 8: a palette
BMP_COMPRESSIONS = (0, 3)  # none, and none with a mask for each color
BMP_ALPHA_HEADER_BYTES = 56  # a header from this size on has a mask for alpha


def decode(encoded: tf.Tensor, at_least: float | None = None) -> tf.Tensor:
    """Decodes an image to upright RGB pixels: [h, w, 3] uint8.

    JPEG (gray, CMYK and progressive too), PNG, BMP without compression, the first frame
    of a GIF or a WebP. Transparent pixels are blended with black, 16 bits become 8. The
    image is turned as its EXIF block says. at_least: a JPEG is decoded smaller, as long
    as its shorter side keeps so many pixels. Raises tf.errors.InvalidArgumentError for
    anything else.
    """
    encoded = tf.convert_to_tensor(encoded, tf.string)

    def decode_smaller() -> tf.Tensor:
        short_side = tf.reduce_min(tf.io.extract_jpeg_shape(encoded)[:2])
        return decode_downscaled(encoded, tf.cast(short_side, tf.float32) / at_least)

    if at_least is None:
        stored = decode_unoriented(encoded)
    else:
        stored = tf.cond(
            tf.io.is_jpeg(encoded), decode_smaller, lambda: decode_other(encoded)
        )
    return apply_orientation(stored, exif_orientation(encoded))


def decode_unoriented(encoded: tf.Tensor) -> tf.Tensor:
    """The image as it is stored, [h, w, 3] uint8 RGB, without its EXIF orientation."""
    encoded = tf.convert_to_tensor(encoded, tf.string)
    return tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method=ACCURATE_DCT),
        lambda: decode_other(encoded),
    )


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


def decode_other(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a PNG, GIF, BMP or WebP as it is stored, [h, w, 3] uint8, on black."""
    kinds = {b"\x89": _decode_png, b"G": _decode_gif, b"B": _decode_bmp}
    first = tf.strings.substr(encoded, 0, 1)
    kind = tf.reduce_min(tf.where(first == list(kinds), tf.range(3), 3))
    branches = [partial(decode, encoded) for decode in (*kinds.values(), _decode_webp)]
    return tf.ensure_shape(tf.switch_case(kind, branches), [None, None, 3])


def on_black(rgb: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Blends [..., 3] uint8 with black; alpha: [..., 1] uint8, 255 is opaque."""
    products = tf.cast(rgb, tf.uint16) * tf.cast(alpha, tf.uint16)
    return tf.cast((products + 127) // 255, tf.uint8)


def _decode_png(encoded: tf.Tensor) -> tf.Tensor:
    color_type = bytes_at(encoded, 25, 1)[0]
    transparent = tf.bitwise.bitwise_and(color_type, PNG_ALPHA) > 0
    transparent |= tf.cond(
        may_hold(encoded, b"tRNS"),
        lambda: find_png_chunk(encoded, b"tRNS", b"IDAT") >= 0,
        lambda: tf.constant(False),
    )

    def with_alpha() -> tf.Tensor:
        image = tf.io.decode_png(encoded, channels=4)
        return on_black(image[..., :3], image[..., 3:])

    # 4 channels of a file of less than 8 bits that has no alpha would be transparent
    return tf.cond(
        transparent, with_alpha, lambda: tf.io.decode_png(encoded, channels=3)
    )


# not inlined, or each of their many nodes would be visited for other files as well
_separate_function = tf.function(
    input_signature=[tf.TensorSpec([], tf.string)],
    autograph=False,
    experimental_attributes={"_noinline": True},
)


@_separate_function
def _decode_gif(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes the first frame alone, with black for its transparent color."""

    def step(head: tf.Tensor, state: tuple) -> tuple[tf.Tensor, tuple]:
        in_extension, transparent = state
        starts = ~in_extension & (head[0] == GIF_EXTENSION)
        index = tf.where(head[3] % 2 > 0, head[6], -1)
        controls = starts & (head[1] == GIF_GRAPHIC_CONTROL)
        transparent = tf.where(controls, index, transparent)
        distance = tf.where(in_extension, head[0] + 1, tf.where(starts, 2, 0))
        return distance, (starts | (in_extension & (head[0] > 0)), transparent)

    def colors(flags: tf.Tensor) -> tf.Tensor:
        return tf.where(flags >= GIF_TABLE, 2 ** (flags % 8 + 1), 0)

    global_colors = colors(bytes_at(encoded, 10, 1)[0])
    start = 13 + 3 * global_colors
    frame, (_, transparent) = walk(encoded, start, step, (tf.constant(False), -1))
    local_colors = colors(bytes_at(encoded, frame + 9, 1)[0])
    start = frame + 11 + 3 * local_colors
    end, (is_cut, _) = walk(encoded, start, step, (tf.constant(True), -1))
    end = tf.where(is_cut, tf.strings.length(encoded), end)
    count = tf.where(local_colors > 0, local_colors, global_colors)
    known = (transparent >= 0) & (transparent < count)
    color = tf.where(local_colors > 0, frame + 10, 13) + 3 * transparent
    color = tf.where(known, tf.minimum(color, end), end)
    after = tf.minimum(color + 3, end)
    parts = [
        tf.strings.substr(encoded, 0, color),
        tf.where(known, b"\0\0\0", b""),
        tf.strings.substr(encoded, after, end - after),
        b";",
    ]
    image = tf.strings.join(parts)
    return tf.io.decode_image(image, channels=3, expand_animations=False)


@_separate_function
def _decode_bmp(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP; TensorFlow itself takes the numbers in a palette for gray."""
    info = bytes_at(encoded, 10, 60)

    def field(place: int, count: int = 4) -> tf.Tensor:
        return number(info[place - 10 : place - 10 + count][::-1])

    start, header_bytes, width, height = (field(place) for place in (10, 14, 18, 22))
    bits, compression, rows = field(28, 2), field(30), tf.abs(height)
    known = tf.reduce_any(bits == BMP_BITS) & (width > 0) & (rows > 0)
    known &= tf.reduce_any(compression == BMP_COMPRESSIONS)
    row_bytes = (width * bits + 31) // 32 * 4
    begin = tf.clip_by_value(start, 0, tf.strings.length(encoded))
    with tf.control_dependencies([tf.debugging.Assert(known, ["unknown kind of BMP"])]):
        data = tf.strings.substr(encoded, begin, rows * row_bytes)
    stored = tf.reshape(tf.io.decode_raw(data, tf.uint8), [rows, row_bytes])

    def from_palette() -> tf.Tensor:
        shifts = tf.cast(8 - bits * (tf.range(8 // bits) + 1), tf.uint8)
        numbers = tf.bitwise.right_shift(stored[..., None], shifts)
        numbers = tf.bitwise.bitwise_and(numbers, tf.cast(2**bits - 1, tf.uint8))
        numbers = tf.reshape(numbers, [rows, -1])[:, :width]
        palette = tf.reshape(bytes_at(encoded, header_bytes + 14, 4 * 256), [256, 4])
        colors = tf.cast(palette[:, 2::-1], tf.uint8)
        return tf.gather(colors, tf.cast(numbers, tf.int32))

    def from_colors() -> tf.Tensor:
        used = stored[:, : width * bits // 8]
        pixels = tf.reshape(used, [rows, width, bits // 8])
        rgb = pixels[..., 2::-1]
        has_alpha = (compression > 0) & (header_bytes >= BMP_ALPHA_HEADER_BYTES)
        has_alpha &= field(66) != 0
        return tf.cond(has_alpha, lambda: on_black(rgb, pixels[..., 3:]), lambda: rgb)

    image = tf.cond(bits <= BMP_PALETTE_BITS, from_palette, from_colors)
    return tf.cond(height > 0, lambda: image[::-1], lambda: image)


@_separate_function
def _decode_webp(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a WebP, and whatever else TensorFlow knows."""
    head = bytes_at(encoded, 12, 9)
    is_extended = number(head[:4]) == int.from_bytes(b"VP8X", "big")
    # TensorFlow writes RGBA of an animation, and into a tensor of RGB if the flag for
    # alpha is not set
    flags = tf.gather([bytes([i | WEBP_ALPHA]) for i in range(256)], head[8])

    def with_alpha_flag() -> tf.Tensor:
        size = tf.strings.length(encoded)
        after = tf.strings.substr(encoded, tf.minimum(21, size), size)
        return tf.strings.join([tf.strings.substr(encoded, 0, 20), flags, after])

    data = tf.cond(is_extended, with_alpha_flag, lambda: encoded)
    image = tf.io.decode_image(data, channels=0, expand_animations=False)
    return tf.cond(
        tf.shape(image)[2] == 4,
        lambda: on_black(image[..., :3], image[..., 3:]),
        lambda: image[..., :3],
    )


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
