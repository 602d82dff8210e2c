"""Prints metrics, comparisons and predictions as tables."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.text import Text

from googlenet_keras.calibration import COVERAGES
from googlenet_keras.console import new_table, print_table, print_text
from googlenet_keras.evaluation.compare import Comparison
from googlenet_keras.evaluation.metrics import METRIC_NAMES, ClassFigures
from googlenet_keras.evaluation.refusal import RefusalFigures
from googlenet_keras.predictor import Prediction
from googlenet_keras.run_folder import HeadFigures

SETS_COLUMN = "prediction set"  # for 90 % of the images
MAX_TABLE_CLASSES = 20  # more rows than this are not read
METRICS_WITH_INTERVAL = ("top1", "macro_f1")


def print_figures(
    parts: Mapping[str, Mapping[str, Any] | None], first: str = "split"
) -> None:
    """Prints the metrics of each head, with 95 % intervals of top-1 and macro-F1.

    parts: Figures by split, or by what `first`, the title of the column, says.
    """
    table = new_table(first, "images", "head", numbers=list(METRIC_NAMES.values()))
    for part, figures in parts.items():
        rows = dict(figures or {})
        images = str(rows.pop("images", ""))
        for head, row in rows.items():
            cells = (_figure(row, metric) for metric in METRIC_NAMES)
            table.add_row(part, images, head, *cells)
    print_table(table)
    for part, found in parts.items():
        if found and "coverage_90" in found["main"]:
            print_text(f"{part}: {_describe_sets(found['main'])}")


def _describe_sets(figures: HeadFigures) -> str:
    """What the prediction sets are worth, in a sentence."""
    values = dict(figures)
    meant = " and ".join(map(str, COVERAGES))
    right = " and ".join(f"{values[f'coverage_{c}']:.1%}" for c in COVERAGES)
    labels = " and ".join(f"{values[f'set_size_{c}']:.2f}" for c in COVERAGES)
    return (
        f"prediction sets for {meant} % of the images cover {right}, with {labels} "
        "labels on average"
    )


def _figure(figures: HeadFigures, metric: str) -> str | Text:
    value = dict(figures).get(metric)
    if value is None:
        return "-"
    interval = figures.get("intervals", {}).get(metric)
    if metric not in METRICS_WITH_INTERVAL or interval is None:
        return f"{value:.4f}"
    return Text(f"{value:.4f}\n{interval[0]:.3f} to {interval[1]:.3f}")


def print_classes(classes: Mapping[str, ClassFigures]) -> None:
    """Prints precision, recall and F1 of each class, or of the worst 20."""
    table = new_table("class", numbers=("images", "precision", "recall", "F1"))
    worst = sorted(classes.items(), key=lambda item: item[1]["f1"])
    for name, row in worst[:MAX_TABLE_CLASSES]:
        figures = (row["precision"], row["recall"], row["f1"])
        table.add_row(name, str(row["images"]), *map("{:.4f}".format, figures))
    if len(classes) > MAX_TABLE_CLASSES:
        table.caption = f"the {MAX_TABLE_CLASSES} worst of {len(classes)} classes"
    print_table(table)


def print_refusal(figures: RefusalFigures, known: HeadFigures, title: str) -> None:
    """Prints how many images and none pictures are refused, and top-1 without them.

    known: metrics of the images, refused ones included. title: their name.
    """
    numbers = ("pictures", "refused", "top-1", "top-1 of the others")
    table = new_table("refusal", numbers=numbers)
    others = figures["accepted"]
    top1 = (f"{known['top1']:.4f}", f"{others['top1']:.4f}" if others else "-")
    table.add_row(title, str(figures["images"]), f"{figures['refused']:.1%}", *top1)
    count, refused = figures["none_pictures"], figures["none_refused"]
    table.add_row("none of the classes", str(count), f"{refused:.1%}", "-", "-")
    table.caption = (
        f"refused: a largest probability below {figures['threshold']:.3f}; "
        f"AUROC {figures['auroc']:.3f}"
    )
    print_table(table)


def print_predictions(predictions: Iterable[Prediction]) -> None:
    """Prints each image's labels with their probabilities, likeliest first."""
    predictions = list(predictions)
    columns = [SETS_COLUMN] if any(x.labels_90 for x in predictions) else []
    table = new_table("image", "labels", *columns)
    for prediction in predictions:
        labels = ", ".join(f"{label} {p:.1%}" for label, p in prediction.top)
        cells = (labels or prediction.problem or "no image", prediction.answer)
        table.add_row(str(prediction.path), *cells[: 1 + len(columns)])
    print_table(table)


def print_comparison(comparison: Comparison) -> None:
    """Prints the options that differ between runs, and each main head's metrics."""
    table = new_table("option", *comparison.results)
    for name, values in comparison.options.items():
        table.add_row(name, *values)
    print_table(table)
    parts = {
        f"{name}, {split}": {"images": figures["images"], "main": figures["main"]}
        for name, (split, figures) in comparison.results.items()
    }
    print_figures(parts, "run")
