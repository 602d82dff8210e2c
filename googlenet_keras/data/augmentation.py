"""Section 6 of the paper: random crops, mirrored, their colours changed.

Every random choice is a function of its seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import tensorflow as tf

from googlenet_keras.data.decoding import (
    RATIOS,
    TRANSPOSED,
    decode_ratio,
    decode_stored,
    decode_window,
    orientation,
    ratio_index,
    upright,
)
from googlenet_keras.data.splits import PIXELS, UPRIGHT_JPEG
from googlenet_keras.data.transforms import resize

Seed = tf.Tensor
"""Two integers; the same seed gives the same choice."""

BRIGHTNESS, CONTRAST, SATURATION = range(3)
HALVED_EARLY = 1.25  # libjpeg halves a crop that is 1.6 times the input or more
TRIES = 10  # windows drawn before one is made to fit


@dataclass(frozen=True)
class Augmentation:
    """Section 6 of the paper: random crop, mirror, photometric distortion.

    crop_area: the smallest part of the image's area. crop_aspect: the aspect ratio lies
    between 1 / crop_aspect and crop_aspect times the input's. color_jitter: largest
    relative change of brightness, contrast and saturation.
    """

    height: int
    width: int
    crop_area: float
    crop_aspect: float
    mirror: bool
    color_jitter: float
    random_interpolation: bool

    def reader(self, content: str) -> Callable[[tf.Tensor, Seed], tf.Tensor]:
        """The cheapest way to crop what a Split of that `content` loads."""
        if content == PIXELS:
            return self.crop_pixels
        return partial(self, upright_jpeg=content == UPRIGHT_JPEG)

    def crop_pixels(self, image: tf.Tensor, seed: Seed) -> tf.Tensor:
        """The same as calling it, for [h, w, 3] uint8 pixels that are upright."""
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
        crop = self._slice(image, seeds[0])
        if self.random_interpolation:
            return self._finished(_resize_at_random(crop, self.size, seeds[1]), seeds)
        return self._finished(resize_cheaply(crop, tf.constant(self.size)), seeds)

    def __call__(
        self, encoded: tf.Tensor, seed: Seed, upright_jpeg: bool = False
    ) -> tf.Tensor:
        """Encoded bytes to [height, width, 3] float32 in 0..255, upright.

        Only the crop is decoded, where the format allows it. It is drawn and resized as
        the image is stored, and turned upright last, when it is small. upright_jpeg:
        that `encoded` is a JPEG which needs no turning is known already, and not asked
        again: a tf.cond costs a fifth of the whole, since TensorFlow visits every node
        of the branch that is not taken.
        """
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
        if upright_jpeg:
            image = self._jpeg_crop(encoded, tf.constant(self.size), seeds)
        else:
            image = tf.cond(
                tf.io.is_jpeg(encoded),
                lambda: self._turned_crop(encoded, seeds),
                lambda: self._other_crop(encoded, seeds),
            )
        return self._finished(image, seeds)

    def _finished(self, image: tf.Tensor, seeds: list[Seed]) -> tf.Tensor:
        image = tf.ensure_shape(image, [*self.size, 3])
        if self.mirror:
            image = tf.image.stateless_random_flip_left_right(image, seeds[2])
        if self.color_jitter:
            image = jitter_colors(image, seeds[3], self.color_jitter)
        return tf.ensure_shape(image, [*self.size, 3])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    def _jpeg_crop(
        self, encoded: tf.Tensor, size: tf.Tensor, seeds: list[Seed]
    ) -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(encoded)
        begin, window = self._window(shape, size, seeds[0])
        if self.random_interpolation:
            shrink = tf.reduce_min(tf.cast(window / size, tf.float32))
            crop = decode_window(encoded, begin, window, shrink * HALVED_EARLY)
            return _resize_at_random(crop, size, seeds[1])
        return jpeg_crop(encoded, begin, window, size)

    def _turned_crop(self, encoded: tf.Tensor, seeds: list[Seed]) -> tf.Tensor:
        turn = orientation(encoded)
        size = tf.constant(self.size)
        size = tf.where(turn >= TRANSPOSED, size[::-1], size)
        return upright(self._jpeg_crop(encoded, size, seeds), turn)

    def _other_crop(self, encoded: tf.Tensor, seeds: list[Seed]) -> tf.Tensor:
        crop = self._slice(decode_stored(encoded), seeds[0])
        if self.random_interpolation:
            return _resize_at_random(crop, self.size, seeds[1])
        return resize(crop, self.size)

    def _slice(self, image: tf.Tensor, seed: Seed) -> tf.Tensor:
        begin, window = self._window(tf.shape(image), tf.constant(self.size), seed)
        return tf.slice(image, tf.pad(begin, [[0, 1]]), tf.concat([window, [3]], 0))

    def _window(
        self, shape: tf.Tensor, size: tf.Tensor, seed: Seed
    ) -> tuple[tf.Tensor, tf.Tensor]:
        aspect = tf.cast(size[1] / size[0], tf.float32)
        return random_window(shape, seed, self.crop_area, self.crop_aspect, aspect)


def _resize_at_random(crop: tf.Tensor, size: tf.Tensor, seed: Seed) -> tf.Tensor:
    methods = ("bilinear", "area", "nearest", "bicubic")
    choice = tf.random.stateless_uniform([], seed, 0, len(methods), tf.int32)
    return tf.switch_case(choice, [lambda m=m: resize(crop, size, m) for m in methods])


def resize_cheaply(image: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Nearly `resize` at a third of the price: area where it shrinks, else bilinear."""
    return tf.cond(
        tf.reduce_any(tf.shape(image)[:2] > size),
        lambda: tf.image.resize(image, size, "area"),
        lambda: tf.image.resize(image, size, "bilinear"),
    )


def jpeg_crop(
    encoded: tf.Tensor, begin: tf.Tensor, window: tf.Tensor, size: tf.Tensor
) -> tf.Tensor:
    """Nearly `resize` of a window of a JPEG to `size`, at a third of the price.

    libjpeg decodes the window alone, halved once or more where it is at least 1.6 times
    as large; the rest of the way averages over each output pixel's area, or
    interpolates where the image grows. begin, window: as of `decode_window`.
    """
    shrink = tf.reduce_min(tf.cast(window / size, tf.float32)) * HALVED_EARLY
    index = ratio_index(shrink)
    smaller = tf.reduce_any(window // tf.gather(RATIOS, index) > size)

    def branch(ratio: int, method: str) -> tf.Tensor:
        crop = decode_ratio(encoded, begin, window, ratio)
        return tf.image.resize(crop, size, method)

    branches = [
        lambda ratio=ratio, method=method: branch(ratio, method)
        for ratio in RATIOS
        for method in ("bilinear", "area")
    ]
    return tf.switch_case(2 * index + tf.cast(smaller, tf.int32), branches)


def random_window(
    shape: tf.Tensor, seed: Seed, area: float, distortion: float, aspect: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """(begin, size), [row, column] and [height, width], of a random crop.

    The area is uniform in `area`..1 of that of an image of `shape`, the aspect ratio is
    `aspect` times a factor uniform in 1 / `distortion`..`distortion`. The first of ten
    tries that fits is taken; if none does, the first is shrunk until it fits.
    TensorFlow's own stateless_sample_distorted_bounding_box draws the height, so that
    small areas are far too frequent.
    """
    shape_seed, place_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    image = tf.cast(shape[:2], tf.float32)
    draws = tf.random.stateless_uniform([TRIES, 2], shape_seed)
    areas = tf.reduce_prod(image) * (area + (1.0 - area) * draws[:, 0])
    factors = 1 / distortion + (distortion - 1 / distortion) * draws[:, 1]
    ratios = tf.sqrt(aspect * factors)
    sizes = tf.sqrt(areas)[:, None] * tf.stack([1 / ratios, ratios], axis=1)
    fits = tf.reduce_all(sizes <= image, axis=1)
    size = sizes[tf.argmax(tf.cast(fits, tf.int32))]
    size *= tf.minimum(tf.reduce_min(image / size), 1.0)
    window = tf.maximum(tf.cast(tf.round(size), tf.int32), 1)
    window = tf.minimum(window, shape[:2])
    room = tf.cast(shape[:2] - window + 1, tf.float32)
    begin = tf.cast(tf.random.stateless_uniform([2], place_seed) * room, tf.int32)
    return begin, window


def jitter_colors(image: tf.Tensor, seed: Seed, strength: float) -> tf.Tensor:
    """Changes brightness, contrast and saturation in random order (arXiv 1312.5402).

    image: [h, w, 3] float32 in 0..255. Each is blended with black, its mean grey or its
    grey image by a factor uniform in 1 - strength..1 + strength.
    """
    order_seed, factor_seed = tf.unstack(
        tf.random.experimental.stateless_split(seed, 2)
    )
    order = tf.random.experimental.stateless_shuffle(tf.range(3), seed=order_seed)
    factors = tf.random.stateless_uniform(
        [3], factor_seed, 1.0 - strength, 1.0 + strength
    )
    for step in range(3):
        image = _blended(image, order[step], factors[step])
    return image


def _blended(image: tf.Tensor, kind: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    grey = tf.image.rgb_to_grayscale(image)
    base = tf.switch_case(
        kind,
        {
            BRIGHTNESS: lambda: tf.zeros_like(image),
            CONTRAST: lambda: tf.zeros_like(image) + tf.reduce_mean(grey),
            SATURATION: lambda: tf.zeros_like(image) + grey,
        },
    )
    return tf.clip_by_value(base + factor * (image - base), 0.0, 255.0)
