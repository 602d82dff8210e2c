"""Evaluates one network or an ensemble on a split, every image counted once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from sklearn.metrics import confusion_matrix

from googlenet_keras.calibration import Calibration
from googlenet_keras.classifier import Classifier
from googlenet_keras.console import track
from googlenet_keras.data import pipeline
from googlenet_keras.data.dataset import (
    Dataset,
    Split,
    list_names,
    match_names,
    unknown_names,
    warn_of_missing_classes,
)
from googlenet_keras.data.folds import Fold, open_fold
from googlenet_keras.data.preprocessing import CENTER_CROP, Crops
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation import metrics
from googlenet_keras.evaluation.calibration import change_temperature, set_figures
from googlenet_keras.evaluation.metrics import ClassFigures, ImageScores
from googlenet_keras.predictor import Predictor
from googlenet_keras.run_folder import (
    VALIDATION_FRACTION,
    Figures,
    HeadFigures,
    RunFolder,
)


@dataclass(frozen=True)
class Evaluation:
    """The scores of each head on all images of a split, in the order they are read.

    out_of_fold: each image was classified by the network of its fold; `members` has the
    first of them.
    """

    heads: dict[str, ImageScores]
    log_probabilities: np.ndarray  # of the main head, [images, classes]
    class_names: tuple[str, ...]
    members: Sequence[Predictor]  # the evaluated network, or an ensemble
    dataset: Dataset
    split: str
    crops: str
    out_of_fold: bool = False

    @property
    def description(self) -> str:
        """The number and kind of the images, such as "300 test images"."""
        kind = "out-of-fold" if self.out_of_fold else self.split
        return f"{len(self.labels)} {kind} images"

    @property
    def classifier(self) -> Classifier | None:
        """The evaluated Classifier; None for an ensemble or an exported file."""
        (first, *others) = self.members
        is_one = not (others or self.out_of_fold)
        return first if isinstance(first, Classifier) and is_one else None

    @property
    def calibration(self) -> Calibration | None:
        """The network's calibration, for one network and center crops; else None."""
        is_one = len(self.members) == 1 and not self.out_of_fold
        is_its_view = is_one and self.crops == CENTER_CROP
        return self.members[0].calibration if is_its_view else None

    def calibrate(self, classifier: Classifier, temperature: float) -> Evaluation:
        """This evaluation after the main head's logits were divided by `temperature`.

        classifier: the evaluated one, which has been changed in the same way.
        """
        logs = change_temperature(self.log_probabilities, temperature)
        heads = {**self.heads, "main": metrics.score_images(logs, self.labels)}
        members = [classifier]
        return replace(self, heads=heads, log_probabilities=logs, members=members)

    @property
    def main(self) -> ImageScores:
        """The scores of the main head."""
        return self.heads["main"]

    @property
    def labels(self) -> np.ndarray:
        """The class number of each image, [images]."""
        return self.main.label

    def figures(self) -> Figures:
        """The number of images, and the metrics of each head."""
        classes = len(self.class_names)
        by_head = {h: metrics.figures(s, classes) for h, s in self.heads.items()}
        if self.calibration:
            sets = set_figures(self.log_probabilities, self.main, self.calibration)
            sets["intervals"] |= by_head["main"]["intervals"]
            by_head["main"] = cast(HeadFigures, {**by_head["main"], **sets})
        return cast(Figures, {"images": len(self.labels), **by_head})

    def by_class(self) -> dict[str, ClassFigures]:
        """Precision, recall and F1 of the main head for each class, by its name."""
        return metrics.class_figures(self.main, self.class_names)

    def warn_of_missing_classes(self) -> None:
        """Logs the classes of the network that no evaluated image has."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        warn_of_missing_classes(self.split, self.class_names, counts.tolist())

    def confusion(self) -> np.ndarray:
        """Counts [classes, classes] of the main head: true class, predicted class."""
        classes = range(len(self.class_names))
        return confusion_matrix(self.labels, self.main.predicted, labels=classes)


def evaluate(
    predictors: Predictor | Sequence[Predictor],
    dataset: Dataset,
    split: str = "validation",
    crops: str = CENTER_CROP,
) -> Evaluation:
    """Evaluates a network on the split "train", "validation" or "test" of `dataset`.

    Several are an ensemble: their probabilities are averaged, as are those of an
    image's crops. crops: "1", "10", "144", "phone" or "phone-square", see Crops.
    Classes are matched by name. Raises UserError for an unknown split or kind of crops,
    a class of the data that the network does not know, an ensemble that does not agree
    on the classes and an image that cannot be read any more (UnreadableImageError).
    """
    ensemble = [predictors] if isinstance(predictors, Predictor) else list(predictors)
    if not ensemble:
        raise UserError("evaluate needs at least one classifier; received none.")
    names = ensemble[0].labels
    for member in ensemble[1:]:
        difference = unknown_names(names, member.labels)
        difference += unknown_names(member.labels, names)
        if difference:
            raise UserError(
                "the members of an ensemble must know the same classes; only some "
                f"know {list_names(sorted(difference))}."
            )
    numbers = class_numbers(names, dataset.class_names)
    batches: dict[str, list[ImageScores]] = defaultdict(list)
    images = dataset.split(split)
    main_logs = []
    for labels, by_head in log_probabilities(ensemble, images, crops, split):
        main_logs.append(by_head["main"].astype(np.float32))
        for head, logs in by_head.items():
            batches[head].append(metrics.score_images(logs, numbers[labels]))
    scores = {head: metrics.concatenate(parts) for head, parts in batches.items()}
    logs = np.concatenate(main_logs)
    return Evaluation(scores, logs, names, ensemble, dataset, split, crops)


def log_probabilities(
    ensemble: Sequence[Predictor], images: Split, crops: str, title: str
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields each batch's labels [batch] and, by head, mean log-probabilities.

    Those are of the mean over members and crops, [batch, classes], in the order of the
    first member's labels. title: of the images, for the progress bar. Raises
    UnreadableImageError.
    """
    names = ensemble[0].labels
    crop_count = Crops(ensemble[0].preprocessing, crops).count
    batch_size = max(1, pipeline.EVALUATION_BATCH_SIZE // crop_count)
    streams = [
        _log_probabilities(x, names, images, crops, batch_size) for x in ensemble
    ]
    heads = [h for h in ensemble[0].heads if all(h in x.heads for x in ensemble)]
    steps = math.ceil(images.count / batch_size)
    with pipeline.explain_unreadable(images):
        for answers in track(zip(*streams, strict=True), f"evaluating {title}", steps):
            members = [by_head for _, by_head in answers]
            yield answers[0][0], {h: _mean_of_members(members, h) for h in heads}


def _mean_of_members(members: Sequence[dict[str, np.ndarray]], head: str) -> np.ndarray:
    return metrics.log_mean(np.stack([x[head] for x in members]), axis=0)


def _log_probabilities(
    predictor: Predictor, names: Sequence[str], split: Split, kind: str, batch_size: int
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields each batch's labels [batch] and, by head, log-probabilities.

    Those are [batch, classes], in the order of `names`, averaged over the crops.
    """
    crops = Crops(predictor.preprocessing, kind)
    order = class_numbers(predictor.labels, names)
    for images, truth in pipeline.evaluation_batches(
        split, crops, heads=("main",), batch_size=batch_size
    ):
        flat = images.numpy().reshape(-1, *crops.size, 3)
        by_head = {}
        for head, logs in predictor.log_probabilities(flat).items():
            by_crop = logs.reshape(-1, crops.count, len(order))
            by_head[head] = metrics.log_mean(by_crop, axis=1)[:, order]
        yield truth["main"].numpy(), by_head


def class_numbers(known: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """The network's class number of each class of a data set, matched by name.

    Raises UserError for a class that the network does not know.
    """
    if unknown := unknown_names(names, known):
        raise UserError(
            "every class of the data must be one the classifier knows; it does not "
            f"know {list_names(unknown)}. It knows {list_names(known)}."
        )
    return np.array(match_names(names, known), int)


def open_run_dataset(
    run: RunFolder,
    dataset: str | None = None,
    *,
    data_dir: Path | None = None,
    download: bool = False,
    divide: bool = True,
) -> Dataset:
    """Opens the data set of a run, split as in training, or `dataset` if it is given.

    run: may be another folder, such as that of a saved classifier, if `dataset` is
    named. divide: as in `open_dataset`, for another data set than the run's. Raises
    UserError if neither names one.
    """
    config = run.read_config() if run.is_started else {}
    name = dataset or config.get("dataset")
    if name is None:
        raise UserError(
            f"{run} does not say what it was trained on; name the data with --dataset."
        )
    if dataset is None and not data_dir and config.get("data_dir"):
        data_dir = Path(config["data_dir"])
    is_own = run.is_own_data(dataset)
    opened = open_dataset(
        name,
        validation_fraction=config.get("validation_fraction", VALIDATION_FRACTION),
        data_dir=data_dir,
        download=download,
        divide=divide or is_own,
    )
    fold = Fold.from_options(config) if is_own else None
    return open_fold(opened, fold) if fold else opened


def check_same_fold(
    runs: Sequence[RunFolder], split: str, dataset: str | None = None
) -> None:
    """Raises UserError if a network of an ensemble was trained on a fold of the split.

    runs: the folder of each network, a run's or another one. dataset: None is the first
    run's; its split is that of the first run, and the test images that no fold has are
    nobody's training images.
    """
    configs = [run.read_config() if run.is_started else {} for run in runs]
    name = dataset or configs[0].get("dataset")
    is_own = runs[0].is_own_data(dataset)
    fold = Fold.from_options(configs[0]) if is_own else None
    if not name or (split == "test" and not fold):
        return
    for run, config in zip(runs, configs, strict=True):
        if run.is_own_data(name) and Fold.from_options(config) != fold:
            raise UserError(
                "no network of an ensemble may have been trained on the images that it "
                f"is tested on; {run} was trained on some that {runs[0]} holds out. "
                "Evaluate each alone, or name other images with --dataset."
            )
