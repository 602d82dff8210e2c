"""Draws class activation maps: where in a photo a Classifier sees a class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from googlenet_keras.classifier import Classifier, Prediction, Predictor, load_image
from googlenet_keras.errors import UserError
from googlenet_keras.network.build import ACTIVATION_MAP, add_activation_map

CLASSES_PER_PHOTO = 3
MAP_OPACITY = 0.55  # of the map over the photo
MAP_COLORMAP = "inferno"


class ActivationMaps:
    """Computes activation maps. Raises UserError for an exported file."""

    def __init__(self, classifier: Predictor) -> None:
        if not isinstance(classifier, Classifier):
            raise UserError(
                "an activation map needs the layer before the last, which an exported "
                "file does not give; name the run that it was exported from."
            )
        self._network = add_activation_map(classifier.network)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The maps [batch, rows, columns, classes] of preprocessed images.

        A value is what its place adds to the class's logit, times the number of places.
        """
        return self._network.predict_on_batch(images)[ACTIVATION_MAP]


class Explainer:
    """Draws where a Classifier sees the likeliest labels, a PNG file for each photo.

    The files are named like the photos, numbered and never overwritten. Raises
    UserError for an exported file and a folder that cannot be made.
    """

    def __init__(self, classifier: Predictor, folder: Path) -> None:
        self._classifier, self._folder = classifier, folder
        self._maps = ActivationMaps(classifier)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--explain needs a folder; {folder} is none.") from error

    def __call__(self, prediction: Prediction) -> Path:
        """Draws the activation maps of a predicted photo; returns the PNG's path."""
        assert prediction.path, "pixels have no file to be named after"
        image = load_image(self._classifier.preprocessing, prediction.path)
        (maps,) = self._maps(image[None])
        figure = _draw(image, prediction, maps, self._classifier.labels)
        path = _unused_path(self._folder, prediction.path.stem)
        figure.savefig(path, dpi=100)
        return path


def overlay(image: np.ndarray, map_: np.ndarray, maximum: float) -> np.ndarray:
    """Draws an activation map [rows, columns] over an image [h, w, 3] in 0..255.

    The colors of the map stand for 0 to `maximum`.
    """
    fine = tf.image.resize(map_[..., None], image.shape[:2]).numpy()[..., 0]
    fine = np.clip(fine / max(maximum, np.finfo(np.float32).eps), 0, 1)
    colors = 255 * colormaps[MAP_COLORMAP](fine)[..., :3]
    return np.rint((1 - MAP_OPACITY) * image + MAP_OPACITY * colors).astype(np.uint8)


def _draw(
    image: np.ndarray, prediction: Prediction, maps: np.ndarray, labels: Sequence[str]
) -> Figure:
    top = prediction.top[:CLASSES_PER_PHOTO]
    figure = Figure(figsize=(3 * (1 + len(top)), 3.3), layout="constrained")
    first, *others = figure.subplots(1, 1 + len(top))
    _show(
        first, image.astype(np.uint8), prediction.path.name if prediction.path else ""
    )
    numbers = [labels.index(label) for label, _ in top]
    maximum = float(maps[..., numbers].max())
    for axes, number, (label, probability) in zip(others, numbers, top, strict=True):
        explained = overlay(image, maps[..., number], maximum)
        _show(axes, explained, f"{label} {probability:.0%}")
    return figure


def _show(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image)
    axes.axis("off")
    axes.set_title(title, size=9, parse_math=False)


def _unused_path(folder: Path, stem: str) -> Path:
    path, number = folder / f"{stem}.png", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}.png", number + 1
    return path
