"""The crops of a photo in evaluation: the center, the paper's, a phone's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import tensorflow as tf

from googlenet_keras.data.decode import decode
from googlenet_keras.data.preprocessing import (
    MIN_REMAINING_SHRINK,
    Preprocessing,
    resize,
)
from googlenet_keras.errors import unknown_choice_error

CENTER_CROP, PHONE_CROP = "1", "phone"
CROP_COUNTS = {CENTER_CROP: 1, "10": 10, "144": 144, PHONE_CROP: 1}
PAPER_SCALES = [
    side / 224 for side in (256, 288, 320, 352)
]  # section 7, in input sides
# places of a window within an image, (down, right), as parts of the free space
CORNERS_AND_CENTER = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
START_MIDDLE_END = ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0))

Places: TypeAlias = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Crops:
    """The crops of a photo for an input of `preprocessing`'s size.

    kind: "1": the center crop of `preprocessing`. "10": the corners and the center of
    the resized photo, and their mirror images. "144": section 7 of the paper: at each
    of four scales, of the left, center and right square (or top, center and bottom),
    the corners, the center and the whole, and their mirror images. "phone": the whole
    photo stretched, not antialiased, as MediaPipe Tasks 1.2 does it. Raises UserError
    for another kind.
    """

    preprocessing: Preprocessing
    kind: str = CENTER_CROP

    def __post_init__(self) -> None:
        check_crops(self.kind)

    @property
    def count(self) -> int:
        """The number of crops of each photo."""
        return CROP_COUNTS[self.kind]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        return self.preprocessing.height, self.preprocessing.width

    def read(self, encoded: tf.Tensor) -> tf.Tensor:
        """Decodes an image to upright crops [count, height, width, 3] in 0..255.

        A large JPEG is decoded smaller, except for "phone": phones do not.
        """
        if self.kind == CENTER_CROP:
            return self.preprocessing.read(encoded)[None]
        if self.kind == PHONE_CROP:
            return self(decode(encoded))
        most = PAPER_SCALES[-1] if self.kind == "144" else 1 / self._fraction
        return self(
            decode(encoded, at_least=MIN_REMAINING_SHRINK * most * max(self.size))
        )

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Crops an upright image [h, w, 3] to [count, height, width, 3] float32."""
        if self.kind == CENTER_CROP:
            return self.preprocessing(image)[None]
        if self.kind == PHONE_CROP:
            # bilinear from each pixel's corner, half a pixel off the usual
            image = tf.cast(image, tf.float32)[None]
            return tf.raw_ops.ResizeBilinear(images=image, size=self.size)
        if self.kind == "10":
            crops = crop_windows(self._scaled(image, 1 / self._fraction), self.size,
                        CORNERS_AND_CENTER)  # fmt: skip
        else:
            crops = [
                crop for ratio in PAPER_SCALES for crop in self._at_scale(image, ratio)
            ]
        crops = tf.stack(crops)
        return tf.concat([crops, tf.reverse(crops, [2])], axis=0)

    @property
    def _fraction(self) -> float:
        return self.preprocessing.crop_fraction

    def _at_scale(self, image: tf.Tensor, ratio: float) -> list[tf.Tensor]:
        height, width = self.size
        square = (round(height * ratio), round(width * ratio))
        crops = []
        for part in crop_windows(self._scaled(image, ratio), square, START_MIDDLE_END):
            crops += crop_windows(part, self.size, CORNERS_AND_CENTER)
            crops.append(resize(part, self.size))
        return crops

    def _scaled(self, image: tf.Tensor, ratio: float) -> tf.Tensor:
        """Resizes `image` to the smallest size that covers `ratio` times the input."""
        target = tf.round(tf.constant(self.size, tf.float32) * ratio)
        before = tf.cast(tf.shape(image)[:2], tf.float32)
        after = tf.round(before / tf.reduce_min(before / target))
        return resize(image, tf.cast(tf.maximum(after, target), tf.int32))


def check_crops(kind: str) -> None:
    """Raises UserError for an unknown kind of crops."""
    if kind not in CROP_COUNTS:
        raise unknown_choice_error("crops", kind, CROP_COUNTS)


def crop_windows(
    image: tf.Tensor, size: tuple[int, int], places: Places
) -> list[tf.Tensor]:
    """Windows [*size, channels] of `image`, one for each of `places`."""
    return [
        tf.ensure_shape(
            tf.slice(image, tf.pad(start, [[0, 1]]), [*size, image.shape[-1]]),
            [*size, image.shape[-1]],
        )
        for start in tf.unstack(window_starts(tf.shape(image)[:2], size, places))
    ]


def window_starts(shape: tf.Tensor, size: tuple[int, int], places: Places) -> tf.Tensor:
    """[places, 2] int32: the first row and column of each window of `size`."""
    space = tf.cast(shape - tf.constant(size), tf.float32)
    return tf.cast(tf.round(space * tf.constant(places)), tf.int32)
