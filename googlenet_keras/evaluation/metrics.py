"""Figures of merit from answers, every image counted once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix, f1_score

from googlenet_keras.errors import UserError
from googlenet_keras.records import TOP_K


@dataclass(frozen=True)
class Answers:
    """What one head said about each image, all [images].

    predicted: class number. confidence: its probability. rank: how many classes are
    likelier than the right one. loss: -log of the right one's probability.
    """

    predicted: np.ndarray
    confidence: np.ndarray
    rank: np.ndarray
    loss: np.ndarray


def answers(logits: np.ndarray, labels: np.ndarray) -> Answers:
    """Judges [images, classes] logits against [images] class numbers.

    A class tied with the right one counts as likelier if its number is smaller, so that
    equal logits do not pass for knowledge. Raises UserError for logits that are not
    finite.
    """
    if not np.isfinite(logits).all():
        raise UserError("logits must be finite; these weights give some that are not.")
    logs = log_softmax(logits.astype(np.float64), axis=1)
    right = np.take_along_axis(logs, labels[:, None], axis=1)
    earlier = np.arange(logs.shape[1]) < labels[:, None]
    likelier = (logs > right) | ((logs == right) & earlier)
    return Answers(
        predicted=logs.argmax(axis=1),
        confidence=np.exp(logs.max(axis=1)),
        rank=likelier.sum(axis=1),
        loss=-right[:, 0],
    )


def joined(parts: list[Answers]) -> Answers:
    """Answers of one batch after the other."""
    fields = ("predicted", "confidence", "rank", "loss")
    return Answers(*(np.concatenate([getattr(p, f) for p in parts]) for f in fields))


def figures(answered: Answers, labels: np.ndarray, classes: int) -> dict[str, Any]:
    """{"top1", "top5", "macro_f1", "loss"}; top5 is null for 5 classes or fewer.

    macro_f1 is the mean over the classes that occur among labels or predictions.
    """
    top5 = float((answered.rank < TOP_K).mean()) if classes > TOP_K else None
    return {
        "top1": float((answered.rank == 0).mean()),
        "top5": top5,
        "macro_f1": float(
            f1_score(labels, answered.predicted, average="macro", zero_division=0)
        ),
        "loss": float(answered.loss.mean()),
    }


def confusion(answered: Answers, labels: np.ndarray, classes: int) -> np.ndarray:
    """[classes, classes] counts: true class down, predicted class across."""
    return confusion_matrix(labels, answered.predicted, labels=range(classes))
