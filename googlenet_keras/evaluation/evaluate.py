"""A Classifier's figures on a split, every image counted once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from googlenet_keras.classifier import Classifier
from googlenet_keras.data import pipeline
from googlenet_keras.data.splits import Dataset
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation import metrics
from googlenet_keras.exported import Exported


@dataclass(frozen=True)
class Evaluation:
    """Labels [images] and each head's answers, in reading order."""

    labels: np.ndarray
    heads: dict[str, metrics.Answers]
    classes: int

    def figures(self) -> dict[str, Any]:
        """{"images", "main": {...}} and the auxiliary heads that the network has."""
        by_head = {
            head: metrics.figures(answered, self.labels, self.classes)
            for head, answered in self.heads.items()
        }
        return {"images": len(self.labels), **by_head}

    def confusion(self) -> np.ndarray:
        """[classes, classes] counts of the main head: true down, predicted across."""
        return metrics.confusion(self.heads["main"], self.labels, self.classes)


def evaluate(
    classifier: Classifier | Exported, dataset: Dataset, split: str = "validation"
) -> Evaluation:
    """Runs `classifier` over the split "train", "validation" or "test" of `dataset`.

    Classes are matched by name. Raises UserError for a split that is not there and for
    a class that the classifier does not know.
    """
    numbers = class_numbers(classifier.labels, dataset.class_names)
    batches = pipeline.for_evaluation(
        dataset.split(split), classifier.preprocessing, heads=("main",)
    )
    labels: list[np.ndarray] = []
    heads: dict[str, list[metrics.Answers]] = {h: [] for h in classifier.heads}
    for images, truth in batches:
        labels.append(numbers[truth["main"].numpy()])
        for head, logits in classifier.logits(images).items():
            heads[head].append(metrics.answers(logits, labels[-1]))
    answered = {head: metrics.joined(parts) for head, parts in heads.items()}
    return Evaluation(np.concatenate(labels), answered, len(classifier.labels))


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
