"""Figures and predictions as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from googlenet_keras.evaluation.metrics import NAMES
from googlenet_keras.prediction import Prediction

MOST_CLASSES = 20  # more rows than this are not read
_WITH_INTERVAL = ("top1", "macro_f1")


def print_figures(
    parts: Mapping[str, Mapping[str, Any] | None], first: str = "split"
) -> None:
    """A row for each head of each part, with 95 % intervals of top-1 and macro-F1.

    parts: FIGURES by name, a split's or whatever `first` says.
    """
    table = Table(first, "images", "head", *NAMES.values())
    for part, figures in parts.items():
        for head, row in (figures or {}).items():
            if head != "images":
                shown = (_figure(row, k) for k in NAMES)
                table.add_row(escape(part), str(figures["images"]), head, *shown)
    Console().print(table)


def _figure(row: Mapping[str, Any], name: str) -> str:
    if row.get(name) is None:
        return "-"
    if name not in _WITH_INTERVAL or "intervals" not in row:
        return f"{row[name]:.4f}"
    low, high = row["intervals"][name]
    return f"{row[name]:.4f}\n{low:.3f} to {high:.3f}"


def print_classes(classes: Mapping[str, Mapping[str, Any]]) -> None:
    """Precision, recall and F1 of each class, or of the worst where there are many."""
    worst = sorted(classes, key=lambda name: classes[name]["f1"])[:MOST_CLASSES]
    table = Table("class", "images", "precision", "recall", "F1")
    for name in worst:
        row = classes[name]
        shown = (f"{row[k]:.4f}" for k in ("precision", "recall", "f1"))
        table.add_row(escape(name), str(row["images"]), *shown)
    if len(classes) > MOST_CLASSES:
        table.caption = f"the {MOST_CLASSES} worst of {len(classes)} classes"
    Console().print(table)


def print_predictions(predictions: Iterable[Prediction]) -> None:
    """A row for each file: its labels with their probabilities, likeliest first."""
    table = Table("image", "labels")
    for prediction in predictions:
        shown = ", ".join(f"{label} {p:.1%}" for label, p in prediction.top)
        table.add_row(escape(str(prediction.path)), escape(shown or "no image"))
    Console().print(table)
