"""Files for whole photographs: their input is the photograph, stretched to fit.

MediaPipe Tasks stretches the whole photograph to a file's input. The network needs its
center instead, unstretched and larger. So the input of such a file has about the aspect
ratio of the user's photographs; the file cuts off the margins itself, and averages
blocks of pixels, since MediaPipe shrinks without antialiasing.
"""

from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.artifacts.tensors import IMAGE_INPUT
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.dataset import Split
from googlenet_keras.data.decode import decode
from googlenet_keras.data.pipeline import explain_unreadable
from googlenet_keras.data.preprocessing import PHONE_CROP, Crops, Preprocessing

BLOCK_SIDE = 2  # pixels of the file's input for one of the network's, in each direction
MAX_MEASURED_PHOTOS = 100
SQUARENESS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the geometries to choose from


def whole_photo_preprocessing(
    geometry: Preprocessing, shapes: np.ndarray, squareness: float = 0.0
) -> Preprocessing:
    """The geometry of a file whose input is a whole photograph.

    Its center is the part of a photograph that the network sees at the desk, in the
    geometric mean over photographs, for height and width: what is stretched for one is
    squeezed for another. geometry: the network's own. shapes: heights and widths of
    photographs, [n, 2]. squareness: 0 for that part, 1 for one of the same area in a
    square input, and between.
    """
    windows = [geometry.window(tf.constant(shape))[1].numpy() for shape in shapes]
    logs = np.log(windows / shapes).mean(axis=0)
    seen = np.exp(logs + squareness * (logs.mean() - logs))
    sides = np.array(geometry.size) * BLOCK_SIDE
    rows, columns = np.rint((sides / seen - sides) / 2).astype(int).tolist()
    height, width = sides.tolist()
    return Preprocessing(
        height + 2 * rows, width + 2 * columns, geometry.crop_fraction, rows, columns
    )


def choose_geometry(
    classifier: Classifier, split: Split, class_numbers: np.ndarray
) -> Preprocessing:
    """The geometry of whole photographs that costs the network least.

    One that suits most photographs may spoil the answers to the others: of those from
    the mean to the square input it has the least cross-entropy on a hundred images of
    `split`, as a phone stretches them. class_numbers: the classifier's, for each class
    of the data set. Raises UnreadableImageError.
    """
    with explain_unreadable(split):
        shapes = np.array([x.shape[:2] for _, x in _photos(split)], np.int32)
        geometries = [
            whole_photo_preprocessing(classifier.preprocessing, shapes, x)
            for x in SQUARENESS
        ]
        losses = sum(
            _losses(classifier, geometries, image, class_numbers[label])
            for label, image in _photos(split)
        )
    return geometries[int(np.argmin(losses))]


def _photos(split: Split) -> Iterator[tuple[int, tf.Tensor]]:
    """A hundred labels and upright images of a split, always the same ones."""
    chosen = split.shuffled(0, tf.constant(0, tf.int64)).take(MAX_MEASURED_PHOTOS)
    for _, label, reference in chosen:
        yield int(label), decode(split.load(reference))


def _losses(
    classifier: Classifier,
    geometries: Sequence[Preprocessing],
    image: tf.Tensor,
    label: int,
) -> np.ndarray:
    """The cross-entropy of an image in each geometry."""
    views = [network_view(image, geometry) for geometry in geometries]
    logs = classifier.log_probabilities(np.stack(views))["main"]
    return -logs[:, label]


def network_view(image: tf.Tensor, geometry: Preprocessing) -> np.ndarray:
    """What the network sees of a photograph that a phone stretches for the file.

    image: [h, w, 3]. Returns [height, width, 3] float32 of the network's own size.
    """
    (whole,) = Crops(geometry, PHONE_CROP)(image).numpy()
    begin, end = geometry.margins, np.add(geometry.margins, geometry.crop_size)
    center = whole[begin[0] : end[0], begin[1] : end[1]]
    height, width = np.array(geometry.crop_size) // BLOCK_SIDE
    return center.reshape(height, BLOCK_SIDE, width, BLOCK_SIDE, 3).mean(axis=(1, 3))


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
