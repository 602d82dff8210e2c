"""Where a Classifier looks: class activation maps (arXiv 1512.04150).

GoogLeNet ends in average pooling and one dense layer, so that the maps are exact: the
mean of a class's map is its logit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from googlenet_keras.classifier import Classifier
from googlenet_keras.errors import UserError
from googlenet_keras.network.activation_map import ACTIVATION_MAP, add_activation_map
from googlenet_keras.prediction import Prediction, Predictor, load_image

SHOWN = 3  # classes of each photo
OPACITY = 0.55  # of the map over the photo
COLORS = "inferno"


class ActivationMaps:
    """The maps of a Classifier. Raises UserError for an exported file."""

    def __init__(self, classifier: Predictor) -> None:
        if not isinstance(classifier, Classifier):
            raise UserError(
                "an activation map needs the layer before the last, which an exported "
                "file keeps to itself; name the run that it was exported from."
            )
        self._network = add_activation_map(classifier.network)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """[batch, rows, columns, classes] of preprocessed images [batch, h, w, 3].

        Each value is what its place adds to the class's logit, times the places.
        """
        return self._network.predict_on_batch(images)[ACTIVATION_MAP]


class Explainer:
    """Draws where a Classifier sees its three likeliest labels, a picture each photo.

    They are PNG files in `folder`, named and numbered like the photos, and never
    overwritten. Raises UserError for an exported file and a folder that cannot be made.
    """

    def __init__(self, classifier: Predictor, folder: Path) -> None:
        self._classifier, self._folder = classifier, folder
        self._maps = ActivationMaps(classifier)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--explain needs a folder; {folder} is none.") from error

    def __call__(self, prediction: Prediction) -> Path:
        """Draws the photo of a `prediction`, and gives the picture's path."""
        assert prediction.path, "only a file's prediction can be explained"
        image = load_image(self._classifier.preprocessing, prediction.path)
        (found,) = self._maps(image[None])
        path = _free(self._folder, prediction.path.stem)
        _draw(image, prediction, found, self._classifier.labels, path)
        return path


def overlay(image: np.ndarray, evidence: np.ndarray, most: float) -> np.ndarray:
    """`image` [h, w, 3] in 0..255 with a map [rows, columns] over it, uint8.

    The colours of the map stand for 0 to `most`.
    """
    fine = tf.image.resize(evidence[..., None], image.shape[:2]).numpy()[..., 0]
    least = np.finfo(np.float32).eps
    colors = colormaps[COLORS](np.clip(fine / max(most, least), 0, 1))[..., :3]
    return np.rint((1 - OPACITY) * image + OPACITY * 255 * colors).astype(np.uint8)


def _draw(
    image: np.ndarray,
    prediction: Prediction,
    maps: np.ndarray,
    labels: Sequence[str],
    path: Path,
) -> None:
    shown = prediction.top[:SHOWN]
    figure = Figure(figsize=(3 * (1 + len(shown)), 3.3), layout="constrained")
    first, *others = figure.subplots(1, 1 + len(shown))
    _show(first, image.astype(np.uint8), prediction.path.name)
    numbers = [labels.index(label) for label, _ in shown]
    most = float(maps[..., numbers].max())
    for axes, number, (label, probability) in zip(others, numbers, shown, strict=True):
        drawn = overlay(image, maps[..., number], most)
        _show(axes, drawn, f"{label} {probability:.0%}")
    figure.savefig(path, dpi=100)


def _show(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image)
    axes.axis("off")
    axes.set_title(title, size=9, parse_math=False)


def _free(folder: Path, stem: str) -> Path:
    """A path in `folder` that nothing has yet."""
    path, number = folder / f"{stem}.png", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}.png", number + 1
    return path
