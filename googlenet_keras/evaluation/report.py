"""Writes report.html: a self-contained page about an evaluation and its run."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from googlenet_keras.architecture.description import describe
from googlenet_keras.calibration import COVERAGES
from googlenet_keras.console import printable
from googlenet_keras.data.preprocessing import CENTER_CROP
from googlenet_keras.evaluation import html, metrics, plots
from googlenet_keras.evaluation.calibration import (
    chance_calibration_error,
    change_temperature,
)
from googlenet_keras.evaluation.compare import options_as_text
from googlenet_keras.evaluation.evaluate import Evaluation
from googlenet_keras.evaluation.fonts import numbered
from googlenet_keras.evaluation.refusal import RefusalFigures
from googlenet_keras.files import convert, read_json
from googlenet_keras.machine import Environment
from googlenet_keras.run_folder import Figures, RunFolder

SAMPLES_PER_CLASS = 3
GALLERY_SIZE = 12  # mistakes, and as many hits
CLASSES_AT_EACH_END = 10  # at either end, if there are more than twice as many


class _Milliseconds(TypedDict):
    median: float


_ByThreads = TypedDict("_ByThreads", {"1": _Milliseconds})


class _ExportedRow(TypedDict):
    """The figures of an exported file that the page shows."""

    megabytes: NotRequired[float]
    milliseconds: NotRequired[_ByThreads]
    top1: NotRequired[float]
    passed: NotRequired[bool]
    reason: NotRequired[str | None]


class _ExportReport(TypedDict):
    """The part of an export's report.json that the page shows."""

    keras: _ExportedRow
    formats: dict[str, _ExportedRow]


def write_report(
    path: Path,
    evaluation: Evaluation,
    results: Mapping[str, Figures | None],
    names: Sequence[str],
    run: RunFolder | None = None,
    own_data: bool = False,
    refusal: RefusalFigures | None = None,
) -> None:
    """Writes a page about an evaluation, atomically. Raises DiskError.

    results: figures by split or kind of crops. names: of the evaluated networks. run:
    the run of the network, if any. own_data: whether it was trained on this data set.
    refusal: its figures, if none pictures were scored.
    """
    classifier, count = evaluation.classifier, len(evaluation.members)
    shown = evaluation.description
    classes = _classes(evaluation, own_data)
    network = f"Ensemble of {count}" if count > 1 else "Exported GoogLeNet"
    sections: dict[str, Any] = {"filters": None, "table": None}  # None: left out
    if evaluation.out_of_fold:
        network = f"{len(names)} folds"
    if classifier:
        network = f"GoogLeNet ({classifier.architecture.name})"
        sections["filters"] = html.inline_filters(classifier.network)
        sections["table"] = describe(
            classifier.architecture,
            classes=len(classifier.labels),
            image_size=classifier.preprocessing.size,
        )
    counts = evaluation.confusion()
    confusion = plots.confusion_matrix(counts, evaluation.class_names, shown)
    content = {
        "title": f"{network} on {evaluation.dataset.name}",
        "members": names if count > 1 or evaluation.out_of_fold else None,
        "out_of_fold": evaluation.out_of_fold,
        "crops": evaluation.crops,
        "shown": shown,
        "results": {name: f for name, f in results.items() if f},
        "classes": classes,
        "confusion": html.inline_svg(confusion, f"Confusion matrix of {shown}"),
        "numbered": numbered(evaluation.class_names),
        "calibration": _calibration(evaluation),
        "refusal": refusal,
        **sections,
        **_photos(evaluation, [row["name"] for row in classes["rows"]]),
        **_run_content(run if count == 1 else None),
    }
    html.write_page("report.html.j2", content, path)


def _classes(evaluation: Evaluation, own_data: bool) -> dict[str, Any]:
    """Table rows of classes by F1, worst first; if many, only the worst and best."""
    by_class, dataset = evaluation.by_class(), evaluation.dataset
    counts = dataset.train.class_counts if own_data else None
    trained = dict(zip(dataset.class_names, counts or (), strict=False))
    rows = [
        {"name": name, "trained": trained.get(name), **figures}
        for name, figures in sorted(by_class.items(), key=lambda item: item[1]["f1"])
    ]
    left_out = max(0, len(rows) - 2 * CLASSES_AT_EACH_END)
    del rows[CLASSES_AT_EACH_END : CLASSES_AT_EACH_END + left_out]
    return {"rows": rows, "left_out": left_out}


def _calibration(evaluation: Evaluation) -> dict[str, Any] | None:
    """The calibration's figures and its diagram; None for an uncalibrated network."""
    calibration, classes = evaluation.calibration, len(evaluation.class_names)
    if not calibration:
        return None
    logs = change_temperature(evaluation.log_probabilities, 1 / calibration.temperature)
    before = metrics.score_images(logs, evaluation.labels)
    title = "Top-1 of images by confidence, before and after calibration"
    diagram = plots.reliability_diagram({"before": before, "after": evaluation.main})
    return {
        "temperature": calibration.temperature,
        "diagram": html.inline_svg(diagram, title),
        "before": metrics.figures(before, classes),
        "after": evaluation.figures()["main"],
        "chance": chance_calibration_error(evaluation.main),
        "coverages": COVERAGES,
    }


def _photos(evaluation: Evaluation, sampled: Sequence[str]) -> dict[str, Any]:
    """Photos of the classes in `sampled`, confident mistakes and uncertain hits."""
    scores, names = evaluation.main, evaluation.class_names
    unsurest = np.argsort(scores.confidence, kind="stable")
    correct = scores.correct[unsurest]
    mistakes = unsurest[~correct][::-1][:GALLERY_SIZE].tolist()
    hits = unsurest[correct][:GALLERY_SIZE].tolist()
    samples = {
        name: np.flatnonzero(scores.label == names.index(name))[:SAMPLES_PER_CLASS]
        for name in sampled
    }
    wanted = {*mistakes, *hits, *chain(*(part.tolist() for part in samples.values()))}
    images = plots.images_at(evaluation, sorted(wanted))
    return {
        "samples": {
            name: [html.inline_photo(images[i]) for i in indices]
            for name, indices in samples.items()
        },
        "mistakes": _gallery(evaluation, {i: images[i] for i in mistakes}),
        "hits": _gallery(evaluation, {i: images[i] for i in hits}),
    }


def _gallery(
    evaluation: Evaluation, images: Mapping[int, np.ndarray]
) -> list[dict[str, Any]]:
    """Each image with its file or number, label, prediction and activation map.

    The map is None unless one Classifier, with average pooling, predicted from these
    very images.
    """
    scores, names = evaluation.main, evaluation.class_names
    files = evaluation.dataset.split(evaluation.split).files
    items = [
        {
            "file": printable(Path(*files[i].parts[-2:])) if files else f"image {i}",
            "photo": html.inline_photo(image),
            "map": None,
            "truth": names[scores.label[i]],
            "said": names[scores.predicted[i]],
            "confidence": float(scores.confidence[i]),
        }
        for i, image in images.items()
    ]
    classifier = evaluation.classifier if evaluation.crops == CENTER_CROP else None
    if images and classifier and classifier.architecture.dense_units is None:
        explain = plots.activation_maps(classifier)
        maps = explain(np.stack(list(images.values())))
        for item, (i, image), map_ in zip(items, images.items(), maps, strict=True):
            seen = map_[..., scores.predicted[i]]
            explained = plots.overlay(image, seen, float(seen.max()))
            item["map"] = html.inline_photo(explained)
    return items


def _run_content(run: RunFolder | None) -> dict[str, Any]:
    """Curves, options, environment and exported formats from the files of a run."""
    if run is None or not run.is_started or not (epochs := run.read_epochs()):
        return dict.fromkeys(("curves", "epochs", "options", "environment", "formats"))
    environment = read_json(run.environment)
    convert(environment, Environment, str(run.environment))
    export_report = run.export / "report.json"
    title = "Cross-entropy, top-1 and learning rate of each epoch"
    medians = {
        name: float(np.median([epoch[name] for epoch in epochs]))
        for name in ("seconds", "images_per_second")
    }
    return {
        "curves": html.inline_svg(plots.curves(epochs), title),
        "epochs": {"count": len(epochs), **medians},
        "options": options_as_text(run.read_config()),
        "environment": environment,
        "formats": (
            read_json(export_report, _ExportReport) if export_report.is_file() else None
        ),
    }
