"""Files for whole photographs: their input is the photograph, stretched to fit.

MediaPipe Tasks stretches the whole photograph to a file's input. The network needs its
center instead, unstretched and larger. So the input of such a file has about the aspect
ratio of the user's photographs; the file cuts off the margins itself, and averages
blocks of pixels, since MediaPipe shrinks without antialiasing.
"""

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.artifacts.tensors import IMAGE_INPUT
from googlenet_keras.data.dataset import Split
from googlenet_keras.data.decode import decode
from googlenet_keras.data.pipeline import explain_unreadable
from googlenet_keras.data.preprocessing import Preprocessing

BLOCK_SIDE = 2  # pixels of the file's input for one of the network's, in each direction
MAX_MEASURED_PHOTOS = 100


def whole_photo_preprocessing(
    geometry: Preprocessing, shapes: np.ndarray
) -> Preprocessing:
    """The geometry of a file whose input is a whole photograph.

    Its center is the part of a photograph that the network sees at the desk, in the
    geometric mean over photographs, for height and width: what is stretched for one is
    squeezed for another. geometry: the network's own. shapes: heights and widths of
    photographs, [n, 2].
    """
    windows = [geometry.window(tf.constant(shape))[1].numpy() for shape in shapes]
    seen = np.exp(np.log(windows / shapes).mean(axis=0))
    sides = np.array(geometry.size) * BLOCK_SIDE
    rows, columns = np.rint((sides / seen - sides) / 2).astype(int).tolist()
    height, width = sides.tolist()
    return Preprocessing(
        height + 2 * rows, width + 2 * columns, geometry.crop_fraction, rows, columns
    )


def photo_shapes(split: Split) -> np.ndarray:
    """Heights and widths of a hundred images of a split, upright, [n, 2] int32.

    Raises UnreadableImageError.
    """
    images = split.shuffled(0, tf.constant(0, tf.int64)).take(MAX_MEASURED_PHOTOS)
    with explain_unreadable(split):
        return np.array(
            [
                tf.shape(decode(split.load(reference))).numpy()[:2]
                for _, _, reference in images
            ]
        )


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
