"""Pictures of a run: curves, confusion matrix, predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from googlenet_keras.classifier import Classifier
from googlenet_keras.data.dataset import Split
from googlenet_keras.evaluation.evaluate import Evaluation
from googlenet_keras.prediction import Predictor

MOST_NAMED_CLASSES = 40  # more class names than this cannot be read on the axes
DEEP = 0.7  # part of a class from which its cell is too deep a blue for dark text
DARK = "#111111"  # on light cells, whatever the page's own text is
GRID = (4, 6)  # rows and columns of predictions.png


def curves(lines: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss and top-1 of every head, training and validation, and the learning rate.

    lines: those of metrics.jsonl.
    """
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    loss, top1, rate = figure.subplots(1, 3)
    epochs = [line["epoch"] for line in lines]
    heads = [head for head in lines[0]["train"] if head != "loss"]
    for number, head in enumerate(heads):
        for axes, key in ((loss, "loss"), (top1, "top1")):
            for part, style in (("train", ":"), ("validation", "-")):
                values = [line[part][head][key] for line in lines]
                axes.plot(
                    epochs,
                    values,
                    style,
                    marker=".",
                    color=f"C{number}",
                    label=f"{head} {part}",
                )
    rate.plot(epochs, [line["learning_rate"] for line in lines], color="black")
    titles = ("cross-entropy", "top-1", "learning rate")
    for axes, title in zip((loss, top1, rate), titles, strict=True):
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
    top1.legend(fontsize="small", frameon=False)
    return figure


def compared(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """The main head's validation loss and top-1 of each run over its epochs.

    runs: the lines of metrics.jsonl by the run's name.
    """
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    both = figure.subplots(1, 2)
    for axes, key, title in zip(
        both, ("loss", "top1"), ("cross-entropy", "top-1"), strict=True
    ):
        for lines in runs.values():
            values = [line["validation"]["main"][key] for line in lines]
            axes.plot([line["epoch"] for line in lines], values, marker=".")
        axes.set(title=f"validation {title}", xlabel="epoch")
        axes.grid(alpha=0.3)
    names = [name.replace("$", r"\$") for name in runs]
    both[0].legend(names, fontsize="small", frameon=False)
    return figure


def confusion_matrix(counts: np.ndarray, labels: Sequence[str], title: str) -> Figure:
    """True classes down, predicted classes across, each row as parts of its class."""
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    named = len(labels) <= MOST_NAMED_CLASSES
    side = 3 + 0.4 * min(len(labels), MOST_NAMED_CLASSES)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(parts, vmin=0, vmax=1, cmap="Blues")
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if named:
        names = [label.replace("$", r"\$") for label in labels]
        axes.set_xticks(range(len(labels)), names, rotation=90)
        axes.set_yticks(range(len(labels)), names)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                shade = "white" if parts[row, column] > DEEP else DARK
                axes.text(
                    column, row, count, ha="center", va="center", color=shade, size=7
                )
    return figure


def predictions(
    classifier: Classifier, split: Split, evaluation: Evaluation, path: Path
) -> None:
    """Images of `split` and what the network said: mistakes, then the unsurest."""
    answered = evaluation.heads["main"]
    order = np.lexsort((answered.confidence, answered.rank == 0))
    shown = [int(i) for i in order[: GRID[0] * GRID[1]]]
    images = images_at(classifier, split, shown)
    figure = Figure(figsize=(2 * GRID[1], 2.4 * GRID[0]), layout="constrained")
    grid = figure.subplots(*GRID).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, index in zip(grid, shown, strict=False):
        right = answered.rank[index] == 0
        said = classifier.labels[answered.predicted[index]]
        truth = "" if right else f"\nis {classifier.labels[evaluation.labels[index]]}"
        axes.imshow(images[index].astype(np.uint8))
        axes.set_title(
            f"{said} {answered.confidence[index]:.0%}{truth}",
            color="darkgreen" if right else "darkred",
            size=9,
            parse_math=False,
        )
    figure.savefig(path, dpi=90)


def images_at(
    classifier: Predictor, split: Split, wanted: Sequence[int]
) -> dict[int, np.ndarray]:
    """The preprocessed images at these places of the reading order."""
    chosen = tf.constant(wanted, tf.int64)
    found = split.in_order().filter(lambda i, *_: tf.reduce_any(i == chosen))
    return {
        int(i): classifier.preprocessing.read(split.load(reference)).numpy()
        for i, _, reference in found.take(len(wanted))
    }
