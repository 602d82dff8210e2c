"""Figures and predictions as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from googlenet_keras.evaluation.predict import Prediction


def print_figures(parts: Mapping[str, Mapping[str, Any] | None]) -> None:
    """A row for each head of each split; parts: split name to FIGURES."""
    table = Table("split", "images", "head", "top-1", "top-5", "macro-F1", "loss")
    for split, figures in parts.items():
        for head, row in (figures or {}).items():
            if head != "images":
                values = (row[k] for k in ("top1", "top5", "macro_f1", "loss"))
                shown = ("-" if v is None else f"{v:.4f}" for v in values)
                table.add_row(split, str(figures["images"]), head, *shown)
    Console().print(table)


def print_predictions(predictions: Iterable[Prediction]) -> None:
    """A row for each file: its labels with their probabilities, likeliest first."""
    table = Table("image", "labels")
    for prediction in predictions:
        shown = ", ".join(f"{label} {p:.1%}" for label, p in prediction.top)
        table.add_row(escape(str(prediction.path)), escape(shown or "no image"))
    Console().print(table)
