"""Preprocessing of photos for the network: a center crop, then a resize."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypedDict

import tensorflow as tf

from googlenet_keras.data.decode import decode
from googlenet_keras.errors import UserError

MIN_REMAINING_SHRINK = 3.0  # that antialiased resizing does after libjpeg's halving


class PreprocessingJson(TypedDict):
    """The entry "preprocessing" in classifier.json and in exported files."""

    height: int
    width: int
    crop_fraction: float


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
        if min(self.height, self.width) < 1:
            raise UserError(
                "height and width must be at least 1 pixel; "
                f"received {self.height} and {self.width}."
            )
        if not 0 < self.crop_fraction <= 1:
            raise UserError(
                "crop_fraction must be above 0 and at most 1; "
                f"received {self.crop_fraction}."
            )

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Crops and resizes [h, w, 3] uint8 to [height, width, 3] float32 in 0..255."""
        size = tf.cast(tf.shape(image)[:2], tf.float32)
        target = tf.constant([self.height, self.width], tf.float32)
        scale = self.crop_fraction * tf.reduce_min(size / target)
        window = tf.maximum(tf.cast(tf.round(target * scale), tf.int32), 1)
        start = (tf.shape(image)[:2] - window) // 2
        crop = tf.slice(image, tf.concat([start, [0]], 0), tf.concat([window, [3]], 0))
        return tf.ensure_shape(
            resize(crop, (self.height, self.width)), [self.height, self.width, 3]
        )

    def read(self, encoded: tf.Tensor) -> tf.Tensor:
        """Decodes and preprocesses an image to [height, width, 3] float32 in 0..255.

        A large JPEG is decoded smaller, to at least three times the input's side.
        """
        return self(decode(encoded, at_least=self.least_side))

    @property
    def least_side(self) -> float:
        """Smallest shorter side, in pixels, to which a JPEG may be decoded."""
        return MIN_REMAINING_SHRINK * max(self.height, self.width) / self.crop_fraction

    def to_json(self) -> PreprocessingJson:
        """Plain numbers, which `from_json` reads."""
        return {
            "height": self.height,
            "width": self.width,
            "crop_fraction": self.crop_fraction,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Builds a Preprocessing from the output of `to_json`.

        Raises UserError for anything else.
        """
        try:
            return cls(**data)
        except TypeError as error:
            raise UserError(f"this is no preprocessing: {error}.") from error


def resize(
    image: tf.Tensor, size: tf.Tensor | tuple[int, int], method: str = "bilinear"
) -> tf.Tensor:
    """Resizes [h, w, 3] to [*size, 3] float32 in 0..255, antialiased if it shrinks."""
    if method == "bilinear":
        return _resize_separately(tf.cast(image, tf.float32), size[0], size[1])
    resized = tf.image.resize(image, size, method, antialias=True)
    return tf.clip_by_value(tf.cast(resized, tf.float32), 0.0, 255.0)


def _resize_separately(
    image: tf.Tensor, height: tf.Tensor | int, width: tf.Tensor | int
) -> tf.Tensor:
    """tf.image.resize(antialias=True) in a third of its time.

    Its sum over columns takes most of that time, so both are sums over rows here, the
    second with the image transposed.
    """
    shape = tf.shape(image)
    rows = tf.reshape(image, tf.stack([1, shape[0], 1, -1]))
    rows = _resize_rows(rows, shape[0], height)
    turned = tf.transpose(tf.reshape(rows, tf.stack([height, -1])), [1, 0])
    # each column's reds, then its greens, then its blues
    columns = tf.reshape(turned, tf.stack([1, shape[1], 1, -1]))
    columns = _resize_rows(columns, shape[1], width)
    turned = tf.transpose(tf.reshape(columns, tf.stack([-1, height])), [1, 0])
    return tf.reshape(turned, tf.stack([height, width, 3]))


def _resize_rows(
    image: tf.Tensor, before: tf.Tensor, after: tf.Tensor | int
) -> tf.Tensor:
    """Resizes the rows: [1, before, 1, n] float32 to [1, after, 1, n]."""
    scale = tf.cast(after, tf.float32) / tf.cast(before, tf.float32)
    return tf.raw_ops.ScaleAndTranslate(
        images=image,
        size=tf.stack([after, 1]),
        scale=tf.stack([scale, 1.0]),
        translation=[0.0, 0.0],
        kernel_type="triangle",
        antialias=True,
    )


def to_uint8(image: tf.Tensor) -> tf.Tensor:
    """Rounds float32 in 0..255 to uint8."""
    return tf.cast(tf.round(image), tf.uint8)
