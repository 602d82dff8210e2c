"""Section 6 of the paper: random crops, mirroring and changes of color.

Every random choice is a function of its seed.
"""

from dataclasses import dataclass

import tensorflow as tf

from googlenet_keras.data import decode
from googlenet_keras.data.dataset import ENCODED, PIXELS, UPRIGHT_JPEG
from googlenet_keras.data.exif import exif_orientation
from googlenet_keras.data.preprocessing import cut, resize, to_uint8

# a crop that shrinks so much is decoded at 1/2, 1/4 or 1/8 of its size
JPEG_SHRINK_THRESHOLDS = (1.5, 6.4, 12.8)
ANTIALIASING_THRESHOLD = 1.25  # images that shrink less are interpolated
CROP_WINDOW_TRIES = 10  # windows drawn before one is shrunk to fit
CROP_DRAWS = 2 * CROP_WINDOW_TRIES + 4  # the window's, then mirror and interpolation
INTERPOLATIONS = ("bilinear", "area", "nearest", "bicubic")


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

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    def __call__(
        self, image: tf.Tensor, seed: tf.Tensor, content: str = ENCODED
    ) -> tf.Tensor:
        """Decodes and augments an image to upright [height, width, 3] uint8.

        If the format allows it, only the crop is decoded. It is resized as the image is
        stored, and turned upright last, when it is small. seed: two integers. content:
        as of a Split. "upright jpeg" spares a tf.cond, which costs a fifth of the
        whole: TensorFlow visits every node of the branch not taken.
        """
        # in one operation, which is cheaper than one for each
        draws = tf.random.stateless_uniform([CROP_DRAWS], seed)
        if content == PIXELS:
            crop = self._crop(image, self.size, draws)
        elif content == UPRIGHT_JPEG:
            crop = self._crop_jpeg(image, self.size, draws)
        else:
            crop = self._crop_any_format(image, draws)
        crop = tf.ensure_shape(crop, [*self.size, 3])
        if self.color_jitter:
            crop = jitter_colors(crop, seed, self.color_jitter)
        crop = to_uint8(crop)
        if not self.mirror:
            return crop
        return tf.cond(draws[-2] < 0.5, lambda: tf.reverse(crop, [1]), lambda: crop)

    def _crop_any_format(self, encoded: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        orientation = exif_orientation(encoded)
        transposed = orientation >= decode.FIRST_TRANSPOSED_ORIENTATION
        size = tf.where(transposed, self.size[::-1], self.size)
        crop = tf.cond(
            tf.io.is_jpeg(encoded),
            lambda: self._crop_jpeg(encoded, size, draws),
            lambda: self._crop(decode.decode_other(encoded), size, draws),
        )
        return decode.apply_orientation(crop, orientation)

    def _crop(self, image: tf.Tensor, size: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        begin, window = random_window(
            tf.shape(image), size, draws[:-2], self.crop_area, self.crop_aspect
        )
        return self._resize(cut(image, begin, window), size, draws)

    def _crop_jpeg(
        self, encoded: tf.Tensor, size: tf.Tensor, draws: tf.Tensor
    ) -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(encoded)
        begin, window = random_window(
            shape, size, draws[:-2], self.crop_area, self.crop_aspect
        )
        shrink = tf.reduce_min(tf.cast(window, tf.float32) / tf.cast(size, tf.float32))
        index = tf.reduce_sum(tf.cast(shrink >= JPEG_SHRINK_THRESHOLDS, tf.int32))
        crop = decode.decode_jpeg_window(encoded, begin, window, index)
        return self._resize(crop, size, draws)

    def _resize(self, crop: tf.Tensor, size: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        if self.random_interpolation:
            choice = tf.cast(draws[-1] * len(INTERPOLATIONS), tf.int32)
            branches = [lambda m=m: resize(crop, size, m) for m in INTERPOLATIONS]
            return tf.switch_case(choice, branches)
        before = tf.cast(tf.shape(crop)[:2], tf.float32)
        shrink = tf.reduce_max(before / tf.cast(size, tf.float32))
        return tf.cond(
            shrink > ANTIALIASING_THRESHOLD,
            lambda: resize(crop, size),
            # three times faster; TensorFlow resizes bytes more slowly than float32
            lambda: tf.image.resize(tf.cast(crop, tf.float32), size),
        )


def random_window(
    shape: tf.Tensor, target: tf.Tensor, draws: tf.Tensor, area: float, stretch: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """(begin [row, column], size [height, width]) of a random crop in an image.

    The area is uniform in `area`..1 of that of an image of `shape`, the aspect ratio is
    `target`'s times a factor uniform in 1 / `stretch`..`stretch`. The crop is the
    first of ten tries that fits; if none does, the first, shrunk until it fits. draws:
    22 numbers uniform in 0..1. TensorFlow's own stateless_sample_distorted_bounding_box
    draws the height, so that small areas are far too frequent.
    """
    image = tf.cast(shape[:2], tf.float32)
    area_draws, ratio_draws, place = tf.split(draws, [CROP_WINDOW_TRIES] * 2 + [2])
    areas = tf.reduce_prod(image) * (area + (1.0 - area) * area_draws)
    aspect = tf.cast(target[1] / target[0], tf.float32)
    ratios = aspect * (1 / stretch + (stretch - 1 / stretch) * ratio_draws)
    sizes = tf.sqrt(tf.stack([areas / ratios, areas * ratios], axis=1))
    fits = tf.reduce_all(sizes <= image, axis=1)
    size = tf.gather(sizes, tf.argmax(tf.cast(fits, tf.int32)))
    size *= tf.minimum(tf.reduce_min(image / size), 1.0)
    window = tf.clip_by_value(tf.cast(tf.round(size), tf.int32), 1, shape[:2])
    room = tf.cast(shape[:2] - window + 1, tf.float32)
    return tf.cast(place * room, tf.int32), window


def jitter_colors(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Changes brightness, contrast and saturation in random order (arXiv 1312.5402).

    image: [h, w, 3] float32 in 0..255. It is blended with black, its mean gray and its
    gray image by factors uniform in 1 - strength..1 + strength.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    order = tf.random.experimental.stateless_shuffle(tf.range(3), seed=seeds[0])
    factors = tf.random.stateless_uniform([3], seeds[1], 1.0 - strength, 1.0 + strength)

    def blend(image: tf.Tensor, kind: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
        gray, black = tf.image.rgb_to_grayscale(image), tf.zeros_like(image)
        bases = (
            lambda: black,  # brightness
            lambda: black + tf.reduce_mean(gray),  # contrast
            lambda: black + gray,  # saturation
        )
        base = tf.switch_case(kind, bases)
        return tf.clip_by_value(base + factor * (image - base), 0.0, 255.0)

    for step in range(3):
        image = blend(image, order[step], factors[step])
    return image
