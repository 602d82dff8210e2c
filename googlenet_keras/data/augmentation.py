"""Section 6 of the paper: random crops, mirroring and changes of color.

Every random choice is a function of its seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self, TypeAlias

import tensorflow as tf

from googlenet_keras.data.dataset import PIXELS, UPRIGHT_JPEG
from googlenet_keras.data.decode import (
    FIRST_TRANSPOSED_ORIENTATION,
    apply_orientation,
    decode_jpeg_window,
    decode_unoriented,
    exif_orientation,
)
from googlenet_keras.data.preprocessing import resize, to_uint8

Seed: TypeAlias = tf.Tensor
"""Two integers."""

BRIGHTNESS, CONTRAST, SATURATION = range(3)
# a crop that shrinks so much is decoded at 1/2, 1/4 or 1/8 of its size
JPEG_SHRINK_THRESHOLDS = (1.5, 6.4, 12.8)
ANTIALIASING_THRESHOLD = 1.25  # images that shrink less are interpolated
CROP_WINDOW_TRIES = 10  # windows drawn before one is shrunk to fit
INTERPOLATIONS = ("bilinear", "area", "nearest", "bicubic")


class CropDraws(NamedTuple):
    """The random numbers, uniform in 0..1, that decide one crop.

    window: 22, see random_window. mirror, interpolation: one each.
    """

    window: tf.Tensor
    mirror: tf.Tensor
    interpolation: tf.Tensor

    @classmethod
    def from_seed(cls, seed: Seed) -> Self:
        """Draws all numbers in one operation, which is cheaper than one for each."""
        draws = tf.random.stateless_uniform([2 * CROP_WINDOW_TRIES + 4], seed)
        return cls(draws[:-2], draws[-2], draws[-1])


@dataclass(frozen=True)
class Augmentation:
    """Random crop, mirroring and photometric distortion, as in section 6 of the paper.

    crop_area: the smallest part of the image's area. crop_aspect: the aspect ratio is
    1 / crop_aspect to crop_aspect times the input's. color_jitter: largest relative
    change of brightness, contrast and saturation.
    """

    height: int
    width: int
    crop_area: float
    crop_aspect: float
    mirror: bool
    color_jitter: float
    random_interpolation: bool

    def reader(self, content: str) -> Callable[[tf.Tensor, Seed], tf.Tensor]:
        """Returns the fastest function (image, seed) to crop for this `content`."""
        if content == PIXELS:
            return self.crop_pixels
        return partial(self, upright_jpeg=content == UPRIGHT_JPEG)

    def crop_pixels(self, image: tf.Tensor, seed: Seed) -> tf.Tensor:
        """Augments upright pixels [h, w, 3] uint8 to [height, width, 3] uint8."""
        draws = CropDraws.from_seed(seed)
        crop = self._random_crop(image, draws)
        return self._distort(self._resize(crop, self.size, draws), draws, seed)

    def __call__(
        self, encoded: tf.Tensor, seed: Seed, upright_jpeg: bool = False
    ) -> tf.Tensor:
        """Decodes and augments an encoded image to upright [height, width, 3] uint8.

        If the format allows it, only the crop is decoded. It is resized as the image is
        stored, and turned upright last, when it is small. upright_jpeg: `encoded` is
        known to be a JPEG that is stored upright. This spares a tf.cond, which costs a
        fifth of the whole: TensorFlow visits every node of the branch not taken.
        """
        draws = CropDraws.from_seed(seed)
        if upright_jpeg:
            image = self._jpeg_crop(encoded, self.size, draws)
        else:
            image = tf.cond(
                tf.io.is_jpeg(encoded),
                lambda: self._oriented_jpeg_crop(encoded, draws),
                lambda: self._decoded_crop(encoded, draws),
            )
        return self._distort(image, draws, seed)

    def _distort(self, image: tf.Tensor, draws: CropDraws, seed: Seed) -> tf.Tensor:
        image = tf.ensure_shape(image, [*self.size, 3])
        if self.color_jitter:
            image = jitter_colors(image, seed, self.color_jitter)
        image = to_uint8(image)
        if self.mirror:
            mirrored = draws.mirror < 0.5
            image = tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
        return tf.ensure_shape(image, [*self.size, 3])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    def _jpeg_crop(
        self, encoded: tf.Tensor, size: tf.Tensor, draws: CropDraws
    ) -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(encoded)
        begin, window = self._window(shape, size, draws)
        shrink = tf.reduce_min(tf.cast(window, tf.float32) / tf.cast(size, tf.float32))
        index = tf.reduce_sum(tf.cast(shrink >= JPEG_SHRINK_THRESHOLDS, tf.int32))
        crop = decode_jpeg_window(encoded, begin, window, index)
        return self._resize(crop, size, draws)

    def _oriented_jpeg_crop(self, encoded: tf.Tensor, draws: CropDraws) -> tf.Tensor:
        orientation = exif_orientation(encoded)
        size = tf.constant(self.size)
        transposed = orientation >= FIRST_TRANSPOSED_ORIENTATION
        size = tf.where(transposed, size[::-1], size)
        return apply_orientation(self._jpeg_crop(encoded, size, draws), orientation)

    def _decoded_crop(self, encoded: tf.Tensor, draws: CropDraws) -> tf.Tensor:
        crop = self._random_crop(decode_unoriented(encoded), draws)
        return self._resize(crop, tf.constant(self.size), draws)

    def _random_crop(self, image: tf.Tensor, draws: CropDraws) -> tf.Tensor:
        begin, window = self._window(tf.shape(image), tf.constant(self.size), draws)
        return tf.slice(image, tf.pad(begin, [[0, 1]]), tf.concat([window, [3]], 0))

    def _window(
        self, shape: tf.Tensor, size: tf.Tensor, draws: CropDraws
    ) -> tuple[tf.Tensor, tf.Tensor]:
        aspect = tf.cast(size[1] / size[0], tf.float32)
        return random_window(
            shape, draws.window, self.crop_area, self.crop_aspect, aspect
        )

    def _resize(self, crop: tf.Tensor, size: tf.Tensor, draws: CropDraws) -> tf.Tensor:
        if not self.random_interpolation:
            return resize_cheaply(crop, size)
        choice = tf.cast(draws.interpolation * len(INTERPOLATIONS), tf.int32)
        branches = [lambda m=m: resize(crop, size, m) for m in INTERPOLATIONS]
        return tf.switch_case(choice, branches)


def resize_cheaply(image: tf.Tensor, size: tf.Tensor | tuple[int, int]) -> tf.Tensor:
    """`resize`, but three times faster for images that shrink by less than a fifth."""
    before = tf.cast(tf.shape(image)[:2], tf.float32)
    shrink = tf.reduce_max(before / tf.cast(size, tf.float32))
    return tf.cond(
        shrink > ANTIALIASING_THRESHOLD,
        lambda: resize(image, size),
        # TensorFlow resizes bytes more slowly
        lambda: tf.image.resize(tf.cast(image, tf.float32), size),
    )


def random_window(
    shape: tf.Tensor, draws: tf.Tensor, area: float, distortion: float, aspect: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """(begin [row, column], size [height, width]) of a random crop in an image.

    The area is uniform in `area`..1 of that of an image of `shape`, the aspect ratio is
    `aspect` times a factor uniform in 1 / `distortion`..`distortion`. The crop is the
    first of ten tries that fits; if none does, the first, shrunk until it fits. draws:
    22 numbers uniform in 0..1. TensorFlow's own stateless_sample_distorted_bounding_box
    draws the height, so that small areas are far too frequent.
    """
    shape = shape[:2]
    image = tf.cast(shape, tf.float32)
    area_draws, ratio_draws, place = tf.split(
        draws, [CROP_WINDOW_TRIES, CROP_WINDOW_TRIES, 2]
    )
    areas = tf.reduce_prod(image) * (area + (1.0 - area) * area_draws)
    factors = 1 / distortion + (distortion - 1 / distortion) * ratio_draws
    ratios = aspect * factors
    sizes = tf.sqrt(tf.stack([areas / ratios, areas * ratios], axis=1))
    fits = tf.reduce_all(sizes <= image, axis=1)
    size = tf.gather(sizes, tf.argmax(tf.cast(fits, tf.int32)))
    size *= tf.minimum(tf.reduce_min(image / size), 1.0)
    window = tf.maximum(tf.cast(tf.round(size), tf.int32), 1)
    window = tf.minimum(window, shape)
    room = tf.cast(shape - window + 1, tf.float32)
    return tf.cast(place * room, tf.int32), window


def jitter_colors(image: tf.Tensor, seed: Seed, strength: float) -> tf.Tensor:
    """Changes brightness, contrast and saturation in random order (arXiv 1312.5402).

    image: [h, w, 3] float32 in 0..255. It is blended with black, its mean gray and its
    gray image by factors uniform in 1 - strength..1 + strength.
    """
    order_seed, factor_seed = tf.unstack(
        tf.random.experimental.stateless_split(seed, 2)
    )
    order = tf.random.experimental.stateless_shuffle(tf.range(3), seed=order_seed)
    factors = tf.random.stateless_uniform(
        [3], factor_seed, 1.0 - strength, 1.0 + strength
    )
    for step in range(3):
        image = _blend(image, order[step], factors[step])
    return image


def _blend(image: tf.Tensor, kind: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    gray = tf.image.rgb_to_grayscale(image)
    base = tf.switch_case(
        kind,
        {
            BRIGHTNESS: lambda: tf.zeros_like(image),
            CONTRAST: lambda: tf.zeros_like(image) + tf.reduce_mean(gray),
            SATURATION: lambda: tf.zeros_like(image) + gray,
        },
    )
    return tf.clip_by_value(base + factor * (image - base), 0.0, 255.0)
