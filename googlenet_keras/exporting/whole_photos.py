"""Files for whole photographs: their input is the photograph, stretched to fit.

MediaPipe Tasks stretches the whole photograph to a file's input. The network needs its
center instead, unstretched and larger. So the input of such a file has the aspect ratio
of the user's photographs; the file cuts off the margins itself, and averages blocks of
pixels, since MediaPipe shrinks without antialiasing.
"""

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.artifacts.runtimes import IMAGE_INPUT
from googlenet_keras.data.dataset import Split
from googlenet_keras.data.decode import decode
from googlenet_keras.data.pipeline import explain_unreadable
from googlenet_keras.data.preprocessing import Preprocessing

BLOCK_SIDE = 2  # pixels of the file's input for one of the network's, in each direction
MAX_MEASURED_PHOTOS = 100


def whole_photo_preprocessing(geometry: Preprocessing, aspect: float) -> Preprocessing:
    """The geometry of a file whose input is a whole photograph.

    geometry: the network's own. aspect: width / height of the photographs; one with
    this aspect ratio becomes the input without being distorted.
    """
    height, width = (side * BLOCK_SIDE for side in geometry.size)
    # sides of the photograph if its center crop is `height` x `width`
    whole_height = max(height, width / aspect) / geometry.crop_fraction
    margins = (
        round(max(0.0, whole - side) / 2)
        for whole, side in ((whole_height, height), (whole_height * aspect, width))
    )
    rows, columns = margins
    return Preprocessing(
        height + 2 * rows, width + 2 * columns, geometry.crop_fraction, rows, columns
    )


def median_aspect(split: Split) -> float:
    """The median of width / height of a hundred images of a split, upright.

    Raises UnreadableImageError.
    """
    images = split.shuffled(0, tf.constant(0, tf.int64)).take(MAX_MEASURED_PHOTOS)
    with explain_unreadable(split):
        shapes = [
            tf.shape(decode(split.load(reference))).numpy()
            for _, _, reference in images
        ]
    return float(np.median([width / height for height, width, _ in shapes]))


def take_whole_photos(
    network: keras.Model,
    geometry: Preprocessing,
    first: keras.layers.Layer | None = None,
) -> keras.Model:
    """`network` with an input of `geometry`; it drops the margins and averages blocks.

    first: a layer for the input itself.
    """
    image = keras.Input((*geometry.size, 3), name=IMAGE_INPUT)
    rows, columns = geometry.margins
    x = first(image) if first else image
    x = keras.layers.Cropping2D(((rows, rows), (columns, columns)))(x)
    x = keras.layers.AveragePooling2D(BLOCK_SIDE)(x)
    return keras.Model(image, network(x))


def to_whole_photos(images: np.ndarray, geometry: Preprocessing) -> np.ndarray:
    """Images [n, height, width, 3] of the network's input, as inputs of `geometry`."""
    rows, columns = geometry.margins
    larger = images.repeat(BLOCK_SIDE, axis=1).repeat(BLOCK_SIDE, axis=2)
    return np.pad(larger, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
