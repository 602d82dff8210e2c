"""Preprocessing of photos for the network: a center crop, then a resize."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import tensorflow as tf

from googlenet_keras.data.decode import decode
from googlenet_keras.errors import UserError

MIN_REMAINING_SHRINK = 3.0  # that antialiased resizing does after libjpeg's halving


@dataclass(frozen=True)
class Preprocessing:
    """The geometry of evaluation: a center crop, then an antialiased resize.

    The crop has the input's aspect ratio and keeps `crop_fraction` of the largest such
    window: 0.875 on a square input is the usual resize to 256 and crop of 224.
    """

    height: int
    width: int
    crop_fraction: float

    def __post_init__(self) -> None:
        if min(self.size) < 1 or not 0 < self.crop_fraction <= 1:
            raise UserError(
                "height and width must be from 1, crop_fraction above 0 and at most 1; "
                f"received {self.height}, {self.width} and {self.crop_fraction}."
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.height, self.width

    @property
    def least_side(self) -> float:
        """Smallest shorter side, in pixels, to which a JPEG may be decoded."""
        return MIN_REMAINING_SHRINK * max(self.size) / self.crop_fraction

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Crops and resizes [h, w, 3] uint8 to [height, width, 3] float32 in 0..255."""
        shape = tf.shape(image)[:2]
        target = tf.constant(self.size, tf.float32)
        scale = self.crop_fraction * tf.reduce_min(tf.cast(shape, tf.float32) / target)
        window = tf.maximum(tf.cast(tf.round(target * scale), tf.int32), 1)
        crop = cut(image, (shape - window) // 2, window)
        return tf.ensure_shape(resize(crop, self.size), [*self.size, 3])

    def read(self, encoded: tf.Tensor) -> tf.Tensor:
        """Decodes and preprocesses an image to [height, width, 3] float32 in 0..255.

        A large JPEG is decoded smaller, to at least three times the input's side.
        """
        return self(decode(encoded, at_least=self.least_side))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, which `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Reads what `to_json` gives. Raises UserError for anything else."""
        try:
            return cls(**data)
        except TypeError as error:
            raise UserError(f"this is no preprocessing: {error}.") from error


def cut(image: tf.Tensor, begin: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The window of an image that begins at [row, column] and is [height, width]."""
    return tf.slice(image, tf.pad(begin, [[0, 1]]), tf.concat([size, [-1]], 0))


def resize(
    image: tf.Tensor, size: tf.Tensor | tuple[int, int], method: str = "bilinear"
) -> tf.Tensor:
    """Resizes [h, w, 3] to [*size, 3] float32 in 0..255, antialiased if it shrinks."""
    if method != "bilinear":
        resized = tf.image.resize(image, size, method, antialias=True)
        return tf.clip_by_value(tf.cast(resized, tf.float32), 0.0, 255.0)
    # tf.image.resize takes three times as long, most of it for its sum over columns, so
    # both are sums over rows here, the second with the image transposed
    height, width, shape = size[0], size[1], tf.shape(image)
    rows = _resize_rows(tf.cast(image, tf.float32), shape[0], height)
    turned = tf.transpose(tf.reshape(rows, tf.stack([height, -1])), [1, 0])
    # each column's reds, then its greens, then its blues
    columns = _resize_rows(turned, shape[1], width)
    turned = tf.transpose(tf.reshape(columns, tf.stack([-1, height])), [1, 0])
    return tf.reshape(turned, tf.stack([height, width, 3]))


def _resize_rows(
    rows: tf.Tensor, before: tf.Tensor, after: tf.Tensor | int
) -> tf.Tensor:
    """Resizes `before` rows of n values, float32, to [1, after, 1, n]."""
    scale = tf.cast(after, tf.float32) / tf.cast(before, tf.float32)
    return tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(rows, tf.stack([1, before, 1, -1])),
        size=tf.stack([after, 1]),
        scale=tf.stack([scale, 1.0]),
        translation=[0.0, 0.0],
        kernel_type="triangle",
        antialias=True,
    )


def to_uint8(image: tf.Tensor) -> tf.Tensor:
    """Rounds float32 in 0..255 to uint8."""
    return tf.cast(tf.round(image), tf.uint8)
