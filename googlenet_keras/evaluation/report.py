"""report.html: one page that shows what a network learnt, and needs no other file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras import records
from googlenet_keras.architecture.description import describe
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.splits import Dataset, Split
from googlenet_keras.evaluation import pictures, plots
from googlenet_keras.evaluation.activation_map import ActivationMaps, overlay
from googlenet_keras.evaluation.evaluate import Evaluation
from googlenet_keras.evaluation.pages import write_page
from googlenet_keras.exported import Exported

NAME = "report.html"
TEMPLATE = "report.html.j2"
SAMPLES = 3  # photos of each class
MOST_SAMPLED = 20  # classes with photos
SHOWN = 12  # mistakes, and as many hits
EXTREME = 10  # classes at either end, where there are more than twice as many


@dataclass(frozen=True)
class Subject:
    """What a page is about.

    results: FIGURES by split or kind of crops. evaluation: the one of `split` whose
    pictures and classes are shown. run: the folder it came from, if any.
    """

    classifier: Classifier | Exported
    dataset: Dataset
    split: str
    evaluation: Evaluation
    results: Mapping[str, Mapping[str, Any] | None]
    run: Path | None = None


def write_report(subject: Subject, path: Path) -> None:
    """Writes the page about `subject` to `path`, whole or not at all."""
    write_page(TEMPLATE, _content(subject), path)


def _content(subject: Subject) -> dict[str, Any]:
    """What the template asks for; what there is nothing about is None."""
    classifier, evaluation = subject.classifier, subject.evaluation
    whole = classifier if isinstance(classifier, Classifier) else None
    shown = f"{len(evaluation.labels)} {subject.split} images"
    confusion = plots.confusion_matrix(
        evaluation.confusion(), evaluation.class_names, shown
    )
    return {
        "title": _title(subject),
        "dataset": subject.dataset.name,
        "split": subject.split,
        "shown": shown,
        "results": {name: f for name, f in subject.results.items() if f},
        "classes": _classes(subject),
        "confusion": pictures.drawing(confusion, f"Confusion matrix of {shown}"),
        "filters": pictures.first_filters(whole.network) if whole else None,
        "table": _table(whole) if whole else None,
        **_photos(subject),
        **_of_run(subject.run),
    }


def _title(subject: Subject) -> str:
    classifier = subject.classifier
    if isinstance(classifier, Classifier):
        return f"GoogLeNet ({classifier.architecture.name}) on {subject.dataset.name}"
    return f"Exported GoogLeNet on {subject.dataset.name}"


def _table(classifier: Classifier) -> dict[str, Any]:
    size = classifier.preprocessing
    return describe(
        classifier.architecture,
        classes=len(classifier.labels),
        image_size=(size.height, size.width),
    )


def _classes(subject: Subject) -> dict[str, Any]:
    """Rows of all classes, or of the best and the worst, worst first."""
    found = subject.evaluation.by_class()
    counts = subject.dataset.train.class_counts
    trained = dict(zip(subject.dataset.class_names, counts or (), strict=False))
    rows = [
        {"name": name, "trained": trained.get(name), **figures}
        for name, figures in sorted(found.items(), key=lambda item: item[1]["f1"])
    ]
    left_out = max(0, len(rows) - 2 * EXTREME)
    if left_out:
        rows = rows[:EXTREME] + rows[-EXTREME:]
    return {"rows": rows, "left_out": left_out}


def _photos(subject: Subject) -> dict[str, Any]:
    """Samples of each class, the surest mistakes and the unsurest hits."""
    answered, labels = subject.evaluation.heads["main"], subject.evaluation.labels
    wrong = answered.rank > 0
    by_confidence = np.argsort(answered.confidence, kind="stable")
    mistakes = [int(i) for i in by_confidence[::-1] if wrong[i]][:SHOWN]
    hits = [int(i) for i in by_confidence if not wrong[i]][:SHOWN]
    present = np.unique(labels)[:MOST_SAMPLED]
    samples = {int(c): np.flatnonzero(labels == c)[:SAMPLES].tolist() for c in present}
    split = subject.dataset.split(subject.split)
    wanted = {*mistakes, *hits, *(i for places in samples.values() for i in places)}
    images = plots.images_at(subject.classifier, split, sorted(wanted))
    names = subject.evaluation.class_names
    return {
        "samples": {
            names[c]: [pictures.photo(images[i]) for i in places]
            for c, places in samples.items()
        },
        "mistakes": _explained(subject, split, images, mistakes),
        "hits": _explained(subject, split, images, hits),
    }


def _explained(
    subject: Subject, split: Split, images: Mapping[int, np.ndarray], chosen: list[int]
) -> list[dict[str, Any]]:
    """Each chosen photo, what it is, what was said of it, and where that was seen."""
    answered, labels = subject.evaluation.heads["main"], subject.evaluation.labels
    names = subject.evaluation.class_names
    maps = _maps(subject.classifier, [images[i] for i in chosen])
    return [
        {
            "file": split.files[i].name if split.files else f"image {i}",
            "photo": pictures.photo(images[i]),
            "map": maps and pictures.photo(
                _evidence(images[i], maps[place], int(answered.predicted[i]))
            ),
            "truth": names[labels[i]],
            "said": names[answered.predicted[i]],
            "confidence": float(answered.confidence[i]),
        }
        for place, i in enumerate(chosen)
    ]  # fmt: skip


def _maps(
    classifier: Classifier | Exported, images: list[np.ndarray]
) -> list[np.ndarray] | None:
    if not images or not isinstance(classifier, Classifier):
        return None
    return list(ActivationMaps(classifier)(np.stack(images)))


def _evidence(image: np.ndarray, maps: np.ndarray, number: int) -> np.ndarray:
    return overlay(image, maps[..., number], float(maps[..., number].max()))


def _of_run(folder: Path | None) -> dict[str, Any]:
    """What the files of a run tell: curves, options, environment, exported formats."""
    known: dict[str, Any] = dict.fromkeys(
        ("curves", "epochs", "options", "environment", "formats")
    )
    if folder is None or not (folder / records.CONFIG).is_file():
        return known
    lines = records.read_epochs(folder / records.METRICS)
    exported = folder / records.EXPORT / "report.json"
    title = "Cross-entropy, top-1 and learning rate of each epoch"
    return known | {
        "curves": pictures.drawing(plots.curves(lines), title),
        "epochs": {
            "count": len(lines),
            "seconds": float(np.median([line["seconds"] for line in lines])),
            "images_per_second": float(
                np.median([line["images_per_second"] for line in lines])
            ),
        },
        "options": records.read_json(folder / records.CONFIG),
        "environment": records.read_json(folder / records.ENVIRONMENT),
        "formats": records.read_json(exported) if exported.is_file() else None,
    }
