"""Writes report.html: a self-contained page about an evaluation and its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.architecture.description import describe
from googlenet_keras.classifier import Classifier, Predictor
from googlenet_keras.data.crops import CENTER_CROP
from googlenet_keras.data.dataset import Dataset, Split
from googlenet_keras.evaluation import plots
from googlenet_keras.evaluation.activation_map import ActivationMaps, overlay
from googlenet_keras.evaluation.compare import options_as_text
from googlenet_keras.evaluation.evaluate import Evaluation
from googlenet_keras.evaluation.html import (
    inline_filters,
    inline_photo,
    inline_svg,
    write_page,
)
from googlenet_keras.files import read_json
from googlenet_keras.run_folder import Figures, RunFolder

REPORT_TEMPLATE = "report.html.j2"
SAMPLES_PER_CLASS = 3
GALLERY_SIZE = 12  # mistakes, and as many hits
CLASSES_AT_EACH_END = 10  # at either end, if there are more than twice as many


@dataclass(frozen=True)
class Subject:
    """The evaluation, networks, data and run that a report describes.

    members: one network, or an ensemble, with their names. dataset, split, crops: what
    they were evaluated on. evaluation: the one that the photos and classes are of.
    results: figures by split or kind of crops. run: the run of the network, if any;
    own_data: whether it was trained on `dataset`.
    """

    members: Sequence[Predictor]
    names: Sequence[str]
    dataset: Dataset
    split: str
    evaluation: Evaluation
    results: Mapping[str, Figures | None]
    crops: str = CENTER_CROP
    run: RunFolder | None = None
    own_data: bool = False

    @property
    def classifier(self) -> Classifier | None:
        """The only member if it is a Classifier, else None."""
        (first, *others) = self.members
        return first if isinstance(first, Classifier) and not others else None

    @property
    def title(self) -> str:
        """The heading of the page."""
        what = "Exported GoogLeNet"
        if self.classifier:
            what = f"GoogLeNet ({self.classifier.architecture.name})"
        elif len(self.members) > 1:
            what = f"Ensemble of {len(self.members)}"
        return f"{what} on {self.dataset.name}"


def write_report(subject: Subject, path: Path) -> None:
    """Writes the page about `subject`, atomically. Raises DiskError."""
    write_page(REPORT_TEMPLATE, _content(subject), path)


def _content(subject: Subject) -> dict[str, Any]:
    """The variables of the template; None for a section that is left out."""
    evaluation, classifier = subject.evaluation, subject.classifier
    shown = f"{len(evaluation.labels)} {subject.split} images"
    confusion = plots.confusion_matrix(
        evaluation.confusion(), evaluation.class_names, shown
    )
    classes = _classes(subject)
    return {
        "title": subject.title,
        "members": list(subject.names) if len(subject.members) > 1 else None,
        "crops": subject.crops,
        "shown": shown,
        "results": {name: f for name, f in subject.results.items() if f},
        "classes": classes,
        "confusion": inline_svg(confusion, f"Confusion matrix of {shown}"),
        "filters": inline_filters(classifier.network) if classifier else None,
        "table": _architecture_table(classifier) if classifier else None,
        **_photos(subject, [row["name"] for row in classes["rows"]]),
        **_run_content(subject.run if len(subject.members) == 1 else None),
    }


def _architecture_table(classifier: Classifier) -> Mapping[str, Any]:
    size = classifier.preprocessing
    return describe(
        classifier.architecture,
        classes=len(classifier.labels),
        image_size=(size.height, size.width),
    )


def _classes(subject: Subject) -> dict[str, Any]:
    """Rows of the classes by F1, worst first; if there are many, only both ends."""
    by_class = subject.evaluation.by_class()
    counts = subject.dataset.train.class_counts if subject.own_data else None
    trained = dict(zip(subject.dataset.class_names, counts or (), strict=False))
    rows = [
        {"name": name, "trained": trained.get(name), **figures}
        for name, figures in sorted(by_class.items(), key=lambda item: item[1]["f1"])
    ]
    left_out = max(0, len(rows) - 2 * CLASSES_AT_EACH_END)
    if left_out:
        rows = rows[:CLASSES_AT_EACH_END] + rows[-CLASSES_AT_EACH_END:]
    return {"rows": rows, "left_out": left_out}


def _photos(subject: Subject, sampled: Sequence[str]) -> dict[str, Any]:
    """Photos of the classes `sampled`, of confident mistakes and of unsure hits."""
    evaluation = subject.evaluation
    scores, labels = evaluation.main, evaluation.labels
    unsurest = np.argsort(scores.confidence, kind="stable")
    mistakes = [int(i) for i in unsurest[::-1] if not scores.correct[i]][:GALLERY_SIZE]
    hits = [int(i) for i in unsurest if scores.correct[i]][:GALLERY_SIZE]
    samples: dict[str, list[int]] = {}
    for name in sampled:
        of_class = np.flatnonzero(labels == evaluation.class_names.index(name))
        samples[name] = of_class[:SAMPLES_PER_CLASS].tolist()
    split = subject.dataset.split(subject.split)
    wanted = {*mistakes, *hits, *(i for indices in samples.values() for i in indices)}
    images = plots.images_at(subject.members[0], split, sorted(wanted))
    return {
        "samples": {
            name: [inline_photo(images[i]) for i in indices]
            for name, indices in samples.items()
        },
        "mistakes": _gallery(subject, split, {i: images[i] for i in mistakes}),
        "hits": _gallery(subject, split, {i: images[i] for i in hits}),
    }


def _gallery(
    subject: Subject, split: Split, images: Mapping[int, np.ndarray]
) -> list[dict[str, Any]]:
    """Each image with its label, its prediction and its activation map."""
    evaluation = subject.evaluation
    scores, names = evaluation.main, evaluation.class_names
    maps = _activation_maps(subject, images)
    return [
        {
            "file": _file_name(split, i),
            "photo": inline_photo(image),
            "map": inline_photo(maps[i]) if maps else None,
            "truth": names[scores.label[i]],
            "said": names[scores.predicted[i]],
            "confidence": float(scores.confidence[i]),
        }
        for i, image in images.items()
    ]


def _file_name(split: Split, index: int) -> str:
    """The image's file with its folder, or its number if there is no file."""
    if not split.files:
        return f"image {index}"
    return "/".join(split.files[index].parts[-2:])


def _activation_maps(
    subject: Subject, images: Mapping[int, np.ndarray]
) -> dict[int, np.ndarray] | None:
    """Overlays the images with the activation maps of their predictions.

    None unless the predictions are those of one Classifier for these very images.
    """
    if not images or not subject.classifier or subject.crops != CENTER_CROP:
        return None
    maps = ActivationMaps(subject.classifier)(np.stack(list(images.values())))
    predicted = subject.evaluation.main.predicted
    return {
        i: overlay(image, map_[..., predicted[i]], float(map_[..., predicted[i]].max()))
        for (i, image), map_ in zip(images.items(), maps, strict=True)
    }


def _run_content(folder: RunFolder | None) -> dict[str, Any]:
    """Curves, options, environment and exported formats from the files of a run."""
    if folder is None or not folder.is_started:
        return dict.fromkeys(("curves", "epochs", "options", "environment", "formats"))
    epochs = folder.read_epochs()
    export_report = folder.export / "report.json"
    title = "Cross-entropy, top-1 and learning rate of each epoch"
    return {
        "curves": inline_svg(plots.curves(epochs), title),
        "epochs": {
            "count": len(epochs),
            "seconds": _median(epochs, "seconds"),
            "images_per_second": _median(epochs, "images_per_second"),
        },
        "options": options_as_text(folder.read_config()),
        "environment": read_json(folder.environment),
        "formats": read_json(export_report) if export_report.is_file() else None,
    }


def _median(epochs: plots.Epochs, name: str) -> float:
    return float(np.median([epoch[name] for epoch in epochs]))
