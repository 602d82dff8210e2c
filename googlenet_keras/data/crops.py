"""The crops of a photo in evaluation: the center, the paper's, a phone's."""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from googlenet_keras.data.decode import decode
from googlenet_keras.data.preprocessing import (
    MIN_REMAINING_SHRINK,
    Preprocessing,
    cut,
    resize,
)
from googlenet_keras.errors import unknown_choice_error

CENTER_CROP, PHONE_CROP = "1", "phone"
CROP_COUNTS = {CENTER_CROP: 1, "10": 10, "144": 144, PHONE_CROP: 1}
# section 7 of the paper: shorter sides, in input sides
PAPER_SCALES = [side / 224 for side in (256, 288, 320, 352)]
# places of a window within an image, (down, right), as parts of the free space
CORNERS_AND_CENTER = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
START_MIDDLE_END = ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0))


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
        return self.preprocessing.size

    def read(self, encoded: tf.Tensor) -> tf.Tensor:
        """Decodes an image to upright crops [count, height, width, 3] in 0..255.

        A large JPEG is decoded smaller, except for "phone": phones do not.
        """
        if self.kind == CENTER_CROP:
            return self.preprocessing.read(encoded)[None]
        if self.kind == PHONE_CROP:
            return self(decode(encoded))
        least_side = MIN_REMAINING_SHRINK * self._scales[-1] * max(self.size)
        return self(decode(encoded, least_side))

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Crops an upright image [h, w, 3] to [count, height, width, 3] float32."""
        if self.kind == CENTER_CROP:
            return self.preprocessing(image)[None]
        if self.kind == PHONE_CROP:
            # bilinear from each pixel's corner, half a pixel off the usual
            image = tf.cast(image, tf.float32)[None]
            return tf.raw_ops.ResizeBilinear(images=image, size=self.size)
        crops = []
        for scale in self._scales:
            whole = self._resize(image, scale)
            if self.kind == "10":
                crops += crop_windows(whole, self.size, CORNERS_AND_CENTER)
                continue
            square = (round(self.size[0] * scale), round(self.size[1] * scale))
            for part in crop_windows(whole, square, START_MIDDLE_END):
                crops += crop_windows(part, self.size, CORNERS_AND_CENTER)
                crops.append(resize(part, self.size))
        stacked = tf.stack(crops)
        return tf.concat([stacked, tf.reverse(stacked, [2])], axis=0)

    @property
    def _scales(self) -> Sequence[float]:
        """Shorter sides of the resized photos, in input sides."""
        if self.kind == "144":
            return PAPER_SCALES
        return [1 / self.preprocessing.crop_fraction]

    def _resize(self, image: tf.Tensor, scale: float) -> tf.Tensor:
        """Resizes `image` to the smallest size that covers `scale` times the input."""
        target = tf.round(tf.constant(self.size, tf.float32) * scale)
        before = tf.cast(tf.shape(image)[:2], tf.float32)
        after = tf.round(before / tf.reduce_min(before / target))
        return resize(image, tf.cast(tf.maximum(after, target), tf.int32))


def check_crops(kind: str) -> None:
    """Raises UserError for an unknown kind of crops."""
    if kind not in CROP_COUNTS:
        raise unknown_choice_error("crops", kind, CROP_COUNTS)


def crop_windows(
    image: tf.Tensor, size: tuple[int, int], places: Sequence[tuple[float, float]]
) -> list[tf.Tensor]:
    """Windows [*size, channels] of `image`, one for each of `places`."""
    space = tf.cast(tf.shape(image)[:2] - tf.constant(size), tf.float32)
    starts = tf.cast(tf.round(space * tf.constant(places)), tf.int32)
    windows = [cut(image, start, size) for start in tf.unstack(starts)]
    return [tf.ensure_shape(x, [*size, image.shape[-1]]) for x in windows]
