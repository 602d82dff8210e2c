"""Plots of a run: curves, confusion matrix, predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from googlenet_keras.classifier import Classifier, Predictor
from googlenet_keras.data.dataset import Split
from googlenet_keras.evaluation.evaluate import Evaluation

MAX_NAMED_CLASSES = 40  # more class names than this cannot be read on the axes
DARK_CELL_FRACTION = (
    0.7  # fraction of a class from which its cell is too deep for dark text
)
DARK_TEXT_COLOR = "#111111"  # on light cells, whatever the page's own text is
PREDICTIONS_GRID = (4, 6)  # rows and columns of predictions.png
AXES_TITLES = {"loss": "cross-entropy", "top1": "top-1", "rate": "learning rate"}

Epochs = Sequence[Mapping[str, Any]]
"""The lines of metrics.jsonl."""


def curves(epochs: Epochs) -> Figure:
    """Plots loss and top-1 of every head, and the learning rate, by epoch."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    loss, top1, rate = figure.subplots(1, 3)
    numbers = [epoch["epoch"] for epoch in epochs]
    heads = [head for head in epochs[0]["train"] if head != "loss"]
    for number, head in enumerate(heads):
        for axes, key in ((loss, "loss"), (top1, "top1")):
            for part, style in (("train", ":"), ("validation", "-")):
                axes.plot(
                    numbers,
                    [epoch[part][head][key] for epoch in epochs],
                    style,
                    marker=".",
                    color=f"C{number}",
                    label=f"{head} {part}",
                )
    rate.plot(numbers, [epoch["learning_rate"] for epoch in epochs], color="black")
    for axes, title in zip((loss, top1, rate), AXES_TITLES.values(), strict=True):
        _finish_axes(axes, title)
    top1.legend(fontsize="small", frameon=False)
    return figure


def validation_curves(runs: Mapping[str, Epochs]) -> Figure:
    """Plots the main head's validation loss and top-1 of each run."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    for axes, key in zip(figure.subplots(1, 2), ("loss", "top1"), strict=True):
        for epochs in runs.values():
            values = [epoch["validation"]["main"][key] for epoch in epochs]
            axes.plot([epoch["epoch"] for epoch in epochs], values, marker=".")
        _finish_axes(axes, f"validation {AXES_TITLES[key]}")
    names = [_escape_formula(name) for name in runs]
    figure.axes[0].legend(names, fontsize="small", frameon=False)
    return figure


def _finish_axes(axes: Axes, title: str) -> None:
    axes.set(title=title, xlabel="epoch")
    axes.grid(alpha=0.3)


def _escape_formula(text: str) -> str:
    """Escapes the text, so that matplotlib does not read it as a formula."""
    return text.replace("$", r"\$")


def confusion_matrix(counts: np.ndarray, labels: Sequence[str], title: str) -> Figure:
    """Plots a confusion matrix: a row per true class, as fractions of that class.

    counts: [classes, classes].
    """
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 3 + 0.4 * min(len(labels), MAX_NAMED_CLASSES)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(fractions, vmin=0, vmax=1, cmap="Blues")
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if len(labels) > MAX_NAMED_CLASSES:
        return figure
    names = [_escape_formula(label) for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=90)
    axes.set_yticks(range(len(labels)), names)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = (
                "white"
                if fractions[row, column] > DARK_CELL_FRACTION
                else DARK_TEXT_COLOR
            )
            axes.text(column, row, count, ha="center", va="center", color=color, size=7)
    return figure


def predictions(
    classifier: Classifier, split: Split, evaluation: Evaluation, path: Path
) -> None:
    """Writes a picture of predictions: mistakes first, then the least confident."""
    scores, labels = evaluation.main, classifier.labels
    rows, columns = PREDICTIONS_GRID
    order = np.lexsort((scores.confidence, scores.correct))
    indices = [int(i) for i in order[: rows * columns]]
    images = images_at(classifier, split, indices)
    figure = Figure(figsize=(2 * columns, 2.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, index in zip(grid, indices, strict=False):
        correct = scores.correct[index]
        truth = "" if correct else f"\nis {labels[scores.label[index]]}"
        predicted = labels[scores.predicted[index]]
        axes.imshow(images[index].astype(np.uint8))
        axes.set_title(
            f"{predicted} {scores.confidence[index]:.0%}{truth}",
            color="darkgreen" if correct else "darkred",
            size=9,
            parse_math=False,
        )
    figure.savefig(path, dpi=90)


def images_at(
    predictor: Predictor, split: Split, indices: Sequence[int]
) -> dict[int, np.ndarray]:
    """The preprocessed images at these indices of the split's reading order."""
    wanted = tf.constant(indices, tf.int64)
    examples = split.in_order().filter(lambda i, *_: tf.reduce_any(i == wanted))
    return {
        int(i): predictor.preprocessing.read(split.load(reference)).numpy()
        for i, _, reference in examples.take(len(indices))
    }
