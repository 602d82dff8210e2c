"""Where a Classifier looks: class activation maps (arXiv 1512.04150).

GoogLeNet ends in average pooling and one dense layer, so that the maps are exact: the
mean of a class's map is its logit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from googlenet_keras.classifier import Classifier
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.predict import Prediction, read
from googlenet_keras.exported import Exported

SHOWN = 3  # classes of each photo
OPACITY = 0.55  # of the map over the photo
COLORS = "inferno"


class ActivationMaps:
    """The maps of a Classifier. Raises UserError for an exported file."""

    def __init__(self, classifier: Classifier | Exported) -> None:
        if not isinstance(classifier, Classifier):
            raise UserError(
                "an activation map needs the layer before the last, which an exported "
                "file keeps to itself; name the run that it was exported from."
            )
        network = classifier.network
        pooled = network.get_layer("average_pool")
        self._features = keras.Model(network.input, pooled.input)
        self._kernel, self._bias = network.get_layer("main").get_weights()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """[batch, rows, columns, classes] of preprocessed images [batch, h, w, 3].

        Each value is what its place adds to the class's logit, times the places.
        """
        features = self._features.predict_on_batch(images)
        return features.astype(np.float32) @ self._kernel + self._bias


def explain(
    classifier: Classifier | Exported, predictions: Iterable[Prediction], folder: Path
) -> Iterator[Path]:
    """Draws the maps of each photo's three likeliest labels; gives the pictures' paths.

    They are PNG files in `folder`, named and numbered like the photos, and never
    overwritten. Raises UserError for an exported file and a folder that cannot be made.
    """
    maps = ActivationMaps(classifier)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--explain needs a folder; {folder} is none.") from error
    for prediction in predictions:
        if not prediction.top:
            continue
        image = read(classifier, prediction.path, named=True)
        (found,) = maps(image[None])
        path = _free(folder, prediction.path.stem)
        _draw(image, prediction, found, classifier.labels, path)
        yield path


def overlay(axes: Axes, image: np.ndarray, evidence: np.ndarray, most: float) -> None:
    """Draws `image` [h, w, 3] with a map [rows, columns] over it, from 0 to `most`."""
    height, width = image.shape[:2]
    axes.imshow(image.astype(np.uint8))
    axes.imshow(
        evidence,
        cmap=COLORS,
        alpha=OPACITY,
        vmin=0,
        vmax=max(most, np.finfo(np.float32).eps),
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="bilinear",
    )
    axes.axis("off")


def _draw(
    image: np.ndarray,
    prediction: Prediction,
    maps: np.ndarray,
    labels: Sequence[str],
    path: Path,
) -> None:
    shown = prediction.top[:SHOWN]
    figure = Figure(figsize=(3 * (1 + len(shown)), 3.3), layout="constrained")
    first, *others = np.atleast_1d(figure.subplots(1, 1 + len(shown)))
    first.imshow(image.astype(np.uint8))
    first.axis("off")
    first.set_title(prediction.path.name, size=9, parse_math=False)
    numbers = [labels.index(label) for label, _ in shown]
    most = float(maps[..., numbers].max())
    for axes, number, (label, probability) in zip(others, numbers, shown, strict=True):
        overlay(axes, image, maps[..., number], most)
        axes.set_title(f"{label} {probability:.0%}", size=9, parse_math=False)
    figure.savefig(path, dpi=100)


def _free(folder: Path, stem: str) -> Path:
    """A path in `folder` that nothing has yet."""
    path, number = folder / f"{stem}.png", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}.png", number + 1
    return path
