"""Figures of a Classifier, or of several as one, every image counted once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from googlenet_keras.console import track
from googlenet_keras.data import pipeline
from googlenet_keras.data.crops import (
    CENTER_CROP,
    CROP_COUNTS,
    Crops,
    check_crops,
)
from googlenet_keras.data.dataset import Dataset, Split
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation import metrics
from googlenet_keras.prediction import Predictor

Logarithms = dict[str, np.ndarray]
"""Log-probabilities, [batch, classes] float64, by head."""


@dataclass(frozen=True)
class Evaluation:
    """Labels [images] and each head's answers, in reading order."""

    labels: np.ndarray
    heads: dict[str, metrics.Answers]
    class_names: tuple[str, ...]

    def figures(self) -> dict[str, Any]:
        """{"images", "main": {...}} and the auxiliary heads that the network has."""
        by_head = {
            head: metrics.figures(answered, self.labels, len(self.class_names))
            for head, answered in self.heads.items()
        }
        return {"images": len(self.labels), **by_head}

    def by_class(self) -> dict[str, dict[str, Any]]:
        """Precision, recall and F1 of the main head for each class, by its name."""
        return metrics.by_class(self.heads["main"], self.labels, self.class_names)

    def confusion(self) -> np.ndarray:
        """[classes, classes] counts of the main head: true down, predicted across."""
        classes = len(self.class_names)
        return metrics.confusion(self.heads["main"], self.labels, classes)


def evaluate(
    members: Predictor | Sequence[Predictor],
    dataset: Dataset,
    split: str = "validation",
    crops: str = CENTER_CROP,
) -> Evaluation:
    """Runs a classifier over the split "train", "validation" or "test" of `dataset`.

    Several are an ensemble, whose probabilities are averaged, as those of an image's
    crops are. crops: "1", "10", "144" or "phone", see Crops. Classes are matched by
    name. Raises UserError for a split that is not there, unknown crops, a class that
    the classifier does not know and members that know different ones.
    """
    check_crops(crops)
    members = (members,) if isinstance(members, Predictor) else tuple(members)
    names = _agreed_names(members)
    numbers = class_numbers(names, dataset.class_names)
    chosen = dataset.split(split)
    heads = [h for h in members[0].heads if all(h in m.heads for m in members)]
    labels: list[np.ndarray] = []
    answered: dict[str, list[metrics.Answers]] = {head: [] for head in heads}
    streams = [_answered(member, names, chosen, crops) for member in members]
    steps = math.ceil(chosen.count / _batch_size(crops))
    for parts in track(zip(*streams, strict=True), f"evaluating {split}", steps):
        labels.append(numbers[parts[0][0]])
        for head in heads:
            logs = np.stack([logarithms[head] for _, logarithms in parts])
            made = metrics.answers(metrics.averaged(logs, axis=0), labels[-1])
            answered[head].append(made)
    joined = {head: metrics.joined(parts) for head, parts in answered.items()}
    return Evaluation(np.concatenate(labels), joined, names)


def class_numbers(known: tuple[str, ...], names: tuple[str, ...]) -> np.ndarray:
    """The classifier's class number for each of the data set's, matched by name.

    Raises UserError for a class that the classifier does not know.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(
            "every class of the data must be one the classifier knows; it does not "
            f"know {', '.join(unknown[:5])}. It knows {', '.join(known[:5])}"
            + (f" and {len(known) - 5} more." if len(known) > 5 else ".")
        )
    return np.array([known.index(name) for name in names])


def _agreed_names(members: Sequence[Predictor]) -> tuple[str, ...]:
    names = members[0].labels
    for member in members[1:]:
        if odd := set(names).symmetric_difference(member.labels):
            raise UserError(
                "the members of an ensemble must know the same classes; only some "
                f"know {', '.join(sorted(odd)[:5])}."
            )
    return names


def _answered(
    member: Predictor, names: tuple[str, ...], split: Split, kind: str
) -> Iterator[tuple[np.ndarray, Logarithms]]:
    """(labels, logarithms) of each batch of images, the classes in `names`' order."""
    crops = Crops(member.preprocessing, kind)
    order = [member.labels.index(name) for name in names]
    batches = pipeline.evaluation_batches(
        split, crops, heads=("main",), batch_size=_batch_size(kind)
    )
    for images, truth in batches:
        flat = member.log_probabilities(images.numpy().reshape(-1, *crops.size, 3))
        logarithms = {
            head: metrics.averaged(logs.reshape(-1, crops.count, len(order)), axis=1)[
                :, order
            ]
            for head, logs in flat.items()
        }
        yield truth["main"].numpy(), logarithms


def _batch_size(kind: str) -> int:
    return max(1, pipeline.EVALUATION_BATCH // CROP_COUNTS[kind])
