"""Pictures of a run: curves, confusion matrix, predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from googlenet_keras.classifier import Classifier
from googlenet_keras.data.splits import Split
from googlenet_keras.evaluation.evaluate import Evaluation

MOST_NAMED_CLASSES = 40  # more class names than this cannot be read on the axes
GRID = (4, 6)  # rows and columns of predictions.png


def curves(lines: Sequence[Mapping[str, Any]], path: Path) -> None:
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
    top1.legend(fontsize="small")
    figure.savefig(path, dpi=100)


def confusion_matrix(
    counts: np.ndarray, labels: Sequence[str], images: int, path: Path
) -> None:
    """True classes down, predicted classes across, each row as parts of its class."""
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    named = len(labels) <= MOST_NAMED_CLASSES
    side = 3 + 0.4 * min(len(labels), MOST_NAMED_CLASSES)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(parts, vmin=0, vmax=1, cmap="Blues")
    axes.set(xlabel="predicted", ylabel="true", title=f"{images} validation images")
    if named:
        names = [label.replace("$", r"\$") for label in labels]
        axes.set_xticks(range(len(labels)), names, rotation=90)
        axes.set_yticks(range(len(labels)), names)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                shade = "white" if parts[row, column] > 0.5 else "black"
                axes.text(
                    column, row, count, ha="center", va="center", color=shade, size=7
                )
    figure.savefig(path, dpi=100)


def predictions(
    classifier: Classifier, split: Split, evaluation: Evaluation, path: Path
) -> None:
    """Images of `split` and what the network said: mistakes, then the unsurest."""
    answered = evaluation.heads["main"]
    order = np.lexsort((answered.confidence, answered.rank == 0))
    shown = [int(i) for i in order[: GRID[0] * GRID[1]]]
    images = _images(classifier, split, shown)
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


def _images(
    classifier: Classifier, split: Split, wanted: Sequence[int]
) -> dict[int, np.ndarray]:
    """The preprocessed images at these places of the reading order."""
    chosen = tf.constant(wanted, tf.int64)
    found = split.in_order().filter(lambda i, *_: tf.reduce_any(i == chosen))
    return {
        int(i): classifier.preprocessing.read(split.load(reference)).numpy()
        for i, _, reference in found
    }
