"""Plots: curves, confusion matrices, predictions and class activation maps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from googlenet_keras.classifier import Classifier
from googlenet_keras.data.dataset import without_autograph
from googlenet_keras.data.pipeline import explain_unreadable
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.calibration import reliability
from googlenet_keras.evaluation.evaluate import Evaluation
from googlenet_keras.evaluation.fonts import drawable, warn_of_numbers
from googlenet_keras.evaluation.metrics import ImageScores
from googlenet_keras.network.build import ACTIVATION_MAP, add_activation_map
from googlenet_keras.predictor import Prediction, Predictor, load_image

MAX_NAMED_CLASSES = 40  # more class names than this cannot be read on the axes
DARK_CELL_FRACTION = 0.7  # of a class; its cell is then too deep for dark text
DARK_TEXT_COLOR = "#111111"  # on light cells, whatever the page's own text is
PREDICTIONS_GRID = (4, 6)  # rows and columns of predictions.png
AXES_TITLES = {"loss": "cross-entropy", "top1": "top-1", "rate": "learning rate"}
CLASSES_PER_PHOTO = 3
LARGEST_DOT = 300  # square points, of a reliability diagram
MAP_OPACITY = 0.55  # of the map over the photo
MAP_COLORMAP = "inferno"

Epochs = Sequence[Mapping[str, Any]]
"""The lines of metrics.jsonl."""


def curves(epochs: Epochs) -> Figure:
    """Plots loss and top-1 of every head, and the learning rate, by epoch.

    Vertical lines show where the image size changes.
    """
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = dict(zip(AXES_TITLES, figure.subplots(1, 3), strict=True))
    numbers = [epoch["epoch"] for epoch in epochs]
    heads = [head for head in epochs[0]["train"] if head != "loss"]
    for (i, head), key, (part, style) in product(
        enumerate(heads), ("loss", "top1"), (("train", ":"), ("validation", "-"))
    ):
        values = [epoch[part][head][key] for epoch in epochs]
        axes[key].plot(
            numbers, values, style, marker=".", color=f"C{i}", label=f"{head} {part}"
        )
    rates = [epoch["learning_rate"] for epoch in epochs]
    axes["rate"].plot(numbers, rates, color="black")
    sizes = [epoch.get("image_size") for epoch in epochs]
    changes = [n for n, (a, b) in zip(numbers[1:], pairwise(sizes), strict=True)
               if a != b]  # fmt: skip
    for key, title in AXES_TITLES.items():
        for number in changes:
            label = "image size changes" if number == changes[0] else None
            axes[key].axvline(number - 0.5, color="gray", linewidth=0.8, label=label)
        _finish_axes(axes[key], title)
    axes["top1"].legend(fontsize="small", frameon=False)
    return figure


def validation_curves(runs: Mapping[str, Epochs]) -> Figure:
    """Plots the main head's validation loss and top-1 of each run."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    for axes, key in zip(figure.subplots(1, 2), ("loss", "top1"), strict=True):
        for epochs in runs.values():
            values = [epoch["validation"]["main"][key] for epoch in epochs]
            axes.plot([epoch["epoch"] for epoch in epochs], values, marker=".")
        _finish_axes(axes, f"validation {AXES_TITLES[key]}")
    names, family = drawable([*runs], "run")
    font = {"family": family, "size": "small"}
    figure.axes[0].legend(_escape_formulas(names), prop=font, frameon=False)
    return figure


def _finish_axes(axes: Axes, title: str) -> None:
    axes.set(title=title, xlabel="epoch")
    axes.grid(alpha=0.3)


def _escape_formulas(texts: Iterable[str]) -> list[str]:
    # else matplotlib reads TeX
    return [text.replace("$", r"\$") for text in texts]


def confusion_matrix(counts: np.ndarray, labels: Sequence[str], title: str) -> Figure:
    """Plots a confusion matrix: a row per true class, as fractions of that class.

    counts: [classes, classes]. A label that no font can draw is a number.
    """
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 3 + 0.4 * min(len(labels), MAX_NAMED_CLASSES)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(fractions, vmin=0, vmax=1, cmap="Blues")
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if len(labels) > MAX_NAMED_CLASSES:
        return figure
    shown, family = drawable(labels, "class")
    names = _escape_formulas(shown)
    axes.set_xticks(range(len(labels)), names, rotation=90, family=family)
    axes.set_yticks(range(len(labels)), names, family=family)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            is_dark = fractions[row, column] > DARK_CELL_FRACTION
            color = "white" if is_dark else DARK_TEXT_COLOR
            axes.text(column, row, count, ha="center", va="center", color=color, size=7)
    return figure


def reliability_diagram(parts: Mapping[str, ImageScores]) -> Figure:
    """Plots top-1 against confidence, in bins, for each of `parts`.

    The area of a dot is the number of its images; a calibrated network's dots are on
    the diagonal.
    """
    figure = Figure(figsize=(4 * len(parts), 4), layout="constrained")
    (row,) = figure.subplots(1, len(parts), squeeze=False)
    for axes, (title, scores) in zip(row, parts.items(), strict=True):
        bins = reliability(scores)
        sizes = LARGEST_DOT * bins["images"] / bins["images"].max()
        axes.plot([0, 1], [0, 1], ":", color="gray")
        axes.scatter(bins["confidence"], bins["top1"], sizes)
        axes.set(title=title, xlabel="confidence", ylabel="top-1", aspect="equal")
    return figure


def predictions(evaluation: Evaluation, path: Path) -> None:
    """Writes a picture of predictions: mistakes first, then the least confident."""
    scores = evaluation.main
    labels, family = drawable(evaluation.class_names, "class")
    rows, columns = PREDICTIONS_GRID
    mistakes_first = np.lexsort((scores.confidence, scores.correct))
    indices = mistakes_first[: rows * columns].tolist()
    images = images_at(evaluation, indices)
    figure = Figure(figsize=(2 * columns, 2.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, index in zip(grid, indices, strict=False):
        axes.imshow(images[index].astype(np.uint8))
        title = f"{labels[scores.predicted[index]]} {scores.confidence[index]:.0%}"
        if not scores.correct[index]:
            title += f"\nis {labels[scores.label[index]]}"
        color = "darkgreen" if scores.correct[index] else "darkred"
        axes.set_title(title, color=color, size=9, parse_math=False, family=family)
    figure.savefig(path, dpi=90)


def images_at(evaluation: Evaluation, indices: Sequence[int]) -> dict[int, np.ndarray]:
    """The images at `indices`, by index, preprocessed as the first network requires."""
    split = evaluation.dataset.split(evaluation.split)
    preprocessing = evaluation.members[0].preprocessing
    wanted = tf.constant(indices, tf.int64)
    is_wanted = without_autograph(lambda i, *_: tf.reduce_any(i == wanted))
    examples = split.in_order().filter(is_wanted)
    with explain_unreadable(split):
        return {
            int(i): preprocessing.read(split.load(reference)).numpy()
            for i, _, reference in examples.take(len(indices))
        }


def activation_maps(classifier: Predictor) -> Callable[[np.ndarray], np.ndarray]:
    """A function from preprocessed images to maps [batch, rows, columns, classes].

    A value is what its place adds to the class's logit, times the number of places.
    Raises UserError for an exported file.
    """
    if not isinstance(classifier, Classifier):
        raise UserError(
            "an activation map needs the layer before the last, which an exported file "
            "does not give; name the run that it was exported from."
        )
    network = add_activation_map(classifier.network, len(classifier.labels))
    return lambda images: network.predict_on_batch(images)[ACTIVATION_MAP]


class Explainer:
    """Draws where a Classifier sees the likeliest labels, a PNG file for each photo.

    The files are named like the photos, numbered and never overwritten. Raises
    UserError for an exported file and a folder that cannot be made.
    """

    def __init__(self, classifier: Predictor, folder: Path) -> None:
        self._classifier, self._folder = classifier, folder
        self._maps = activation_maps(classifier)
        warn_of_numbers(classifier.labels)
        shown, self._family = drawable(classifier.labels, "class")
        self._shown = dict(zip(classifier.labels, shown, strict=True))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--explain needs a folder; {folder} is none.") from error

    def __call__(self, prediction: Prediction) -> Path:
        """Draws the activation maps of a predicted photo; returns the PNG's path."""
        assert prediction.path, "pixels have no file to be named after"
        image = load_image(self._classifier.preprocessing, prediction.path)
        top = prediction.top[:CLASSES_PER_PHOTO]
        (maps,) = self._maps(image[None])
        maps = maps[..., [self._classifier.labels.index(label) for label, _ in top]]
        ((name,), family) = drawable([Path(prediction.path.name)], "photo")
        pictures = [(name, family, image.astype(np.uint8))]
        for number, (label, probability) in enumerate(top):
            explained = overlay(image, maps[..., number], float(maps.max()))
            title = f"{self._shown[label]} {probability:.0%}"
            pictures.append((title, self._family, explained))
        figure = Figure(figsize=(3 * len(pictures), 3.3), layout="constrained")
        grid = figure.subplots(1, len(pictures))
        for axes, (title, family, picture) in zip(grid, pictures, strict=True):
            axes.imshow(picture)
            axes.axis("off")
            axes.set_title(title, size=9, parse_math=False, family=family)
        stem = prediction.path.stem
        path, number = self._folder / f"{stem}.png", 2
        while path.exists():
            path, number = self._folder / f"{stem}-{number}.png", number + 1
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
