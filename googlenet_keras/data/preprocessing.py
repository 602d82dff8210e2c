"""The geometry of evaluation: the center crop, multi-crop tests and resizing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

import tensorflow as tf

from googlenet_keras.architecture.arithmetic import MAX_IMAGE_SIDE
from googlenet_keras.data.decode import decode
from googlenet_keras.errors import UserError, unknown_choice_error

MIN_REMAINING_SHRINK = 3.0  # that antialiased resizing does after libjpeg's halving
CENTER_CROP, PHONE_CROP, PHONE_SQUARE_CROP = "1", "phone", "phone-square"
PHONE_CROPS = (PHONE_CROP, PHONE_SQUARE_CROP)
CROP_COUNTS = {CENTER_CROP: 1, "10": 10, "144": 144} | dict.fromkeys(PHONE_CROPS, 1)
# section 7 of the paper: shorter sides, in input sides
PAPER_SCALES = [side / 224 for side in (256, 288, 320, 352)]
# places of a window within an image, (down, right), as parts of the free space
CORNERS_AND_CENTER = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
START_MIDDLE_END = ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0))


class Region(NamedTuple):
    """A part of an image, 0..1 of its width or height, as MediaPipe's RectF has it."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Preprocessing:
    """The geometry of evaluation: a center crop, then an antialiased resize.

    The crop has the input's aspect ratio and keeps `crop_fraction` of the largest such
    window: 0.875 on a square input is the usual resize to 256 and crop of 224. Of a
    file for whole photographs, the input has margins that the network does not look at:
    `margin_height` rows at the top and the bottom, `margin_width` columns at each side.
    The crop is in the middle, and the margins may hold anything.
    """

    height: int
    width: int
    crop_fraction: float
    margin_height: int = 0
    margin_width: int = 0

    def __post_init__(self) -> None:
        sides = all(
            type(side) is int and 1 <= side <= MAX_IMAGE_SIDE for side in self.size
        )
        is_number = type(self.crop_fraction) in (int, float)
        if not (sides and is_number and 0.01 <= self.crop_fraction <= 1):
            raise UserError(
                "height and width must be whole numbers from 1, at most "
                f"{MAX_IMAGE_SIDE}, and crop_fraction from 0.01 to 1; received "
                f"{self.height!r:.100}, {self.width!r:.100}, "
                f"{self.crop_fraction!r:.100}."
            )
        self._check_margins()

    def _check_margins(self) -> None:
        are_whole = all(type(x) is int and x >= 0 for x in self.margins)
        if not (are_whole and min(self.crop_size) >= 1):
            raise UserError(
                "margin_height and margin_width must be whole numbers from 0 that "
                f"leave some of the input; received {self.margin_height!r:.100}, "
                f"{self.margin_width!r:.100} of {self.height!r:.100}, "
                f"{self.width!r:.100}."
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.height, self.width

    @property
    def margins(self) -> tuple[int, int]:
        """Rows at the top and the bottom, columns at each side."""
        return self.margin_height, self.margin_width

    @property
    def crop_size(self) -> tuple[int, int]:
        """Height and width of the input without its margins."""
        return (
            self.height - 2 * self.margin_height,
            self.width - 2 * self.margin_width,
        )

    @property
    def least_side(self) -> float:
        """Lower limit, in pixels, on the shorter side of a decoded JPEG."""
        return MIN_REMAINING_SHRINK * max(self.crop_size) / self.crop_fraction

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Crops and resizes [h, w, 3] uint8 to [height, width, 3] float32 in 0..255."""
        crop = cut(image, *self.window(tf.shape(image)[:2]))
        resized = resize(crop, self.crop_size)
        if any(self.margins):
            resized = tf.pad(resized, [[x, x] for x in (*self.margins, 0)])
        return tf.ensure_shape(resized, [*self.size, 3])

    def window(self, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(begin [row, column], size [height, width]) of the crop in an image."""
        target = tf.constant(self.crop_size, tf.float32)
        scale = self.crop_fraction * tf.reduce_min(tf.cast(shape, tf.float32) / target)
        size = tf.maximum(tf.cast(tf.round(target * scale), tf.int32), 1)
        return (shape - size) // 2, size

    def window_with_margins(self, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(begin, size) of the part of an image to stretch to the input, as `window`.

        That is the crop with the margins around it, or less if the image is too small.
        """
        _, size = self.window(shape)
        whole = tf.cast(size * self.size, tf.float32) / tf.constant(
            self.crop_size, tf.float32
        )
        limit = tf.reduce_min(tf.cast(shape, tf.float32) / whole)
        size = tf.cast(tf.round(whole * tf.minimum(limit, 1.0)), tf.int32)
        return (shape - size) // 2, size

    def region_of_interest(self, height: int, width: int) -> Region:
        """The part of an image of these sides that MediaPipe stretches to the input."""
        window = self.window_with_margins(tf.constant([height, width]))
        begin, size = (x.numpy() for x in window)
        (top, left), (bottom, right) = begin.tolist(), (begin + size).tolist()
        return Region(left / width, top / height, right / width, bottom / height)

    def read(self, encoded: tf.Tensor) -> tf.Tensor:
        """Decodes and preprocesses an image to [height, width, 3] float32 in 0..255.

        A large JPEG is decoded smaller, to at least three times the input's side.
        """
        return self(decode(encoded, at_least=self.least_side))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Reads what `to_json` gives. Raises UserError for anything else."""
        try:
            return cls(**data)
        except TypeError as error:
            raise UserError(f"this is no preprocessing: {error}.") from error


@dataclass(frozen=True)
class Crops:
    """The crops of a photo for an input of `preprocessing`'s size.

    kind: "1": the center crop of `preprocessing`. "10": the corners and the center of
    the resized photo, and their mirror images. "144": section 7 of the paper: at each
    of four scales, of the left, center and right square (or top, center and bottom),
    the corners, the center and the whole, and their mirror images. "phone": the whole
    photo stretched, not antialiased, as MediaPipe Tasks 1.2 does it. "phone-square":
    the same of the crop of `preprocessing`, as with its region of interest. Raises
    UserError for another kind.
    """

    preprocessing: Preprocessing
    kind: str = CENTER_CROP

    def __post_init__(self) -> None:
        check_crops(self.kind)
        if CROP_COUNTS[self.kind] > 1 and any(self.preprocessing.margins):
            raise UserError(
                f"a file for whole photographs cannot take the crops {self.kind!r}; "
                f"take {CENTER_CROP}, {' or '.join(PHONE_CROPS)}, or another file."
            )

    @property
    def count(self) -> int:
        """The number of crops of each photo."""
        return CROP_COUNTS[self.kind]

    @property
    def size(self) -> tuple[int, int]:
        return self.preprocessing.size

    def read(self, encoded: tf.Tensor) -> tf.Tensor:
        """Decodes an image to upright crops [count, height, width, 3] in 0..255.

        A large JPEG is decoded smaller, except for phones, which do not.
        """
        if self.kind == CENTER_CROP:
            return self.preprocessing.read(encoded)[None]
        if self.kind in PHONE_CROPS:
            return self(decode(encoded))
        least_side = MIN_REMAINING_SHRINK * self._scales[-1] * max(self.size)
        return self(decode(encoded, least_side))

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Crops an upright image [h, w, 3] to [count, height, width, 3] float32."""
        if self.kind == CENTER_CROP:
            return self.preprocessing(image)[None]
        if self.kind in PHONE_CROPS:
            if self.kind == PHONE_SQUARE_CROP:
                window = self.preprocessing.window_with_margins(tf.shape(image)[:2])
                image = cut(image, *window)
            # bilinear from each pixel's corner, half a pixel off the usual
            image = tf.cast(image, tf.float32)[None]
            resized = tf.raw_ops.ResizeBilinear(images=image, size=self.size)
            return tf.ensure_shape(resized, [1, *self.size, 3])
        crops = []
        shape = tf.cast(tf.shape(image)[:2], tf.float32)
        for scale in self._scales:
            # resized to the smallest size that covers `scale` times the input
            target = tf.round(tf.constant(self.size, tf.float32) * scale)
            covering = tf.round(shape / tf.reduce_min(shape / target))
            whole = resize(image, tf.cast(tf.maximum(covering, target), tf.int32))
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
        """Shorter side of each resized photo, as a multiple of the input's side."""
        usual = [1 / self.preprocessing.crop_fraction]
        return PAPER_SCALES if self.kind == "144" else usual


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


def _resize_rows(rows: tf.Tensor, before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """Resizes from `before` to `after` rows of n values; returns [1, after, 1, n]."""
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
