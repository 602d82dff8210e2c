"""report.html: one page that shows what a network learnt, and needs no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.architecture.description import describe
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.crops import CENTER_CROP
from googlenet_keras.data.dataset import Dataset, Split
from googlenet_keras.evaluation import pictures, plots
from googlenet_keras.evaluation.activation_map import ActivationMaps, overlay
from googlenet_keras.evaluation.compare import shown_options
from googlenet_keras.evaluation.evaluate import Evaluation
from googlenet_keras.evaluation.pages import write_page
from googlenet_keras.files import read_json
from googlenet_keras.prediction import Predictor
from googlenet_keras.run_folder import RunFolder

NAME = "report.html"
TEMPLATE = "report.html.j2"
SAMPLES = 3  # photos of each class
SHOWN = 12  # mistakes, and as many hits
EXTREME = 10  # classes at either end, where there are more than twice as many


@dataclass(frozen=True)
class Subject:
    """What a page is about.

    members: one, or an ensemble; names: theirs. dataset, split, crops: what they were
    evaluated on. results: FIGURES by split or kind of crops. evaluation: the one that
    the pictures and the classes are of. run: the folder that it came from, if any;
    own_data: whether it was trained on `dataset`.
    """

    members: Sequence[Predictor]
    names: Sequence[str]
    dataset: Dataset
    split: str
    evaluation: Evaluation
    results: Mapping[str, Mapping[str, Any] | None]
    crops: str = CENTER_CROP
    run: Path | None = None
    own_data: bool = False

    @property
    def whole(self) -> Classifier | None:
        """The one network of which all is known."""
        (first, *others) = self.members
        return first if isinstance(first, Classifier) and not others else None


def write_report(subject: Subject, path: Path) -> None:
    """Writes the page about `subject` to `path`, whole or not at all."""
    write_page(TEMPLATE, _content(subject), path)


def _content(subject: Subject) -> dict[str, Any]:
    """What the template asks for; what there is nothing about is None."""
    evaluation, whole = subject.evaluation, subject.whole
    shown = f"{len(evaluation.labels)} {subject.split} images"
    confusion = plots.confusion_matrix(
        evaluation.confusion(), evaluation.class_names, shown
    )
    classes = _classes(subject)
    return {
        "title": _title(subject),
        "members": list(subject.names) if len(subject.members) > 1 else None,
        "crops": subject.crops,
        "shown": shown,
        "results": {name: f for name, f in subject.results.items() if f},
        "classes": classes,
        "confusion": pictures.drawing(confusion, f"Confusion matrix of {shown}"),
        "filters": pictures.first_filters(whole.network) if whole else None,
        "table": _table(whole) if whole else None,
        **_photos(subject, [row["name"] for row in classes["rows"]]),
        **_of_run(subject.run if len(subject.members) == 1 else None),
    }


def _title(subject: Subject) -> str:
    what = "Exported GoogLeNet"
    if subject.whole:
        what = f"GoogLeNet ({subject.whole.architecture.name})"
    elif len(subject.members) > 1:
        what = f"Ensemble of {len(subject.members)}"
    return f"{what} on {subject.dataset.name}"


def _table(classifier: Classifier) -> dict[str, Any]:
    size = classifier.preprocessing
    return describe(
        classifier.architecture,
        classes=len(classifier.labels),
        image_size=(size.height, size.width),
    )


def _classes(subject: Subject) -> dict[str, Any]:
    """Rows of all classes that occur, or of the worst and the best; worst first."""
    found = subject.evaluation.by_class()
    counts = subject.dataset.train.class_counts if subject.own_data else None
    trained = dict(zip(subject.dataset.class_names, counts or (), strict=False))
    rows = [
        {"name": name, "trained": trained.get(name), **figures}
        for name, figures in sorted(found.items(), key=lambda item: item[1]["f1"])
    ]
    left_out = max(0, len(rows) - 2 * EXTREME)
    if left_out:
        rows = rows[:EXTREME] + rows[-EXTREME:]
    return {"rows": rows, "left_out": left_out}


def _photos(subject: Subject, sampled: Sequence[str]) -> dict[str, Any]:
    """Samples of the classes `sampled`, the surest mistakes, the unsurest hits."""
    evaluation = subject.evaluation
    answered, labels = evaluation.heads["main"], evaluation.labels
    wrong = answered.rank > 0
    by_confidence = np.argsort(answered.confidence, kind="stable")
    mistakes = [int(i) for i in by_confidence[::-1] if wrong[i]][:SHOWN]
    hits = [int(i) for i in by_confidence if not wrong[i]][:SHOWN]
    numbers = {name: evaluation.class_names.index(name) for name in sampled}
    samples = {
        name: np.flatnonzero(labels == number)[:SAMPLES].tolist()
        for name, number in numbers.items()
    }
    split = subject.dataset.split(subject.split)
    wanted = {*mistakes, *hits, *(i for places in samples.values() for i in places)}
    images = plots.images_at(subject.members[0], split, sorted(wanted))
    return {
        "samples": {
            name: [pictures.photo(images[i]) for i in places]
            for name, places in samples.items()
        },
        "mistakes": _explained(subject, split, images, mistakes),
        "hits": _explained(subject, split, images, hits),
    }


def _explained(
    subject: Subject, split: Split, images: Mapping[int, np.ndarray], chosen: list[int]
) -> list[dict[str, Any]]:
    """Each chosen photo, what it is, what was said of it, and where that was seen."""
    evaluation = subject.evaluation
    answered, labels = evaluation.heads["main"], evaluation.labels
    names = evaluation.class_names
    maps = _maps(subject, [images[i] for i in chosen])
    return [
        {
            "file": _file(split, i),
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


def _file(split: Split, index: int) -> str:
    """The image's file with its folder, or its number where there is no file."""
    if not split.files:
        return f"image {index}"
    return "/".join(split.files[index].parts[-2:])


def _maps(subject: Subject, images: list[np.ndarray]) -> list[np.ndarray] | None:
    """Those of the one network that gave the answers, from these very images."""
    if not images or not subject.whole or subject.crops != CENTER_CROP:
        return None
    return list(ActivationMaps(subject.whole)(np.stack(images)))


def _evidence(image: np.ndarray, maps: np.ndarray, number: int) -> np.ndarray:
    return overlay(image, maps[..., number], float(maps[..., number].max()))


def _of_run(folder: Path | None) -> dict[str, Any]:
    """What the files of a run tell: curves, options, environment, exported formats."""
    known: dict[str, Any] = dict.fromkeys(
        ("curves", "epochs", "options", "environment", "formats")
    )
    if folder is None or not RunFolder(folder).is_started:
        return known
    lines = RunFolder(folder).read_epochs()
    exported = RunFolder(folder).export / "report.json"
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
        "options": shown_options(RunFolder(folder).read_config()),
        "environment": read_json(RunFolder(folder).environment),
        "formats": read_json(exported) if exported.is_file() else None,
    }
