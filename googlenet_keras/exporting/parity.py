"""The gate: an exported file must answer as the network does, or it is kept apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from googlenet_keras.artifacts.artifact import described
from googlenet_keras.classifier import Classifier
from googlenet_keras.console import progress_bar
from googlenet_keras.data import pipeline
from googlenet_keras.data.dataset import Split
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.exporting.formats import Format
from googlenet_keras.exporting.measuring import ArtifactError, Measured, measured

BATCH = 16
THREE_IMAGES = 3
PHOTOGRAPHS = 32  # validation images that a SavedModel also gets as files


@dataclass(frozen=True)
class Reference:
    """The network's own answers on a split, and the right ones."""

    split: Split
    labels: np.ndarray
    answers: Measured


def batches(
    split: Split, preprocessing: Preprocessing, what: str
) -> Iterator[np.ndarray]:
    """Preprocessed images of `split` in reading order.

    On a terminal a bar says how many have been taken; what: by whom.
    """
    made = pipeline.evaluation_batches(
        split, preprocessing, heads=("main",), batch_size=BATCH
    )
    with progress_bar() as shown:
        task = shown.add_task(what, total=split.count)
        for images, _ in made:
            yield images.numpy()
            shown.advance(task, len(images))


def row(measurement: Measured, labels: np.ndarray) -> dict[str, Any]:
    """The part of a report's row that needs no comparison."""
    predicted = measurement.probabilities.argmax(axis=1)
    return {
        "milliseconds": measurement.milliseconds,
        "peak_megabytes": measurement.peak_megabytes,
        "images": len(labels),
        "top1": float(np.mean(predicted == labels)),
        "macro_f1": float(
            f1_score(labels, predicted, average="macro", zero_division=0)
        ),
    } | (
        {"xnnpack_partitions": measurement.partitions}
        if measurement.partitions is not None
        else {}
    )


def compared(
    path: Path, kind: Format, classifier: Classifier, reference: Reference, log: Path
) -> dict[str, Any]:
    """The report's row of the file at `path`, with "passed" and, if not, "reason".

    The labels and the preprocessing that it carries must be the classifier's, and its
    answers in its own runtime near the network's. Raises ArtifactError or UserError for
    one that cannot be judged.
    """
    labels, preprocessing = described(path)
    if labels != classifier.labels:
        raise ArtifactError("its labels are not the classifier's, in their order")
    if preprocessing != classifier.preprocessing:
        raise ArtifactError("its preprocessing is not the classifier's")
    images = batches(reference.split, preprocessing, f"{kind.name}: running")
    encoded = _encoded(reference.split) if kind.takes_bytes else []
    size = (preprocessing.height, preprocessing.width)
    found = measured(path, size, images, log, encoded)
    expected = reference.answers.probabilities
    figures = row(found, reference.labels)
    figures |= differences(found.probabilities, expected)
    reasons = failures(kind, figures, _top1(reference))
    if found.of_bytes is not None:
        reasons += _bytes_failures(kind, *found.of_bytes, expected, labels)
    return figures | {"passed": not reasons, "reason": "; ".join(reasons) or None}


def _encoded(split: Split) -> list[bytes]:
    references = split.in_order().take(PHOTOGRAPHS)
    return [split.load(reference).numpy() for _, _, reference in references]


def _bytes_failures(
    kind: Format,
    found: np.ndarray,
    first_labels: list[str],
    expected: np.ndarray,
    labels: tuple[str, ...],
) -> list[str]:
    apart = float(np.abs(found - expected[: len(found)]).max())
    reasons = []
    if not apart <= kind.most_difference:
        allowed = kind.most_difference
        reasons.append(f"serve_bytes differs by up to {apart:.2g}, allowed {allowed}")
    if first_labels != [labels[i] for i in found.argmax(axis=1)]:
        reasons.append("serve_bytes gives labels that are not its probabilities'")
    return reasons


def _top1(reference: Reference) -> float:
    predicted = reference.answers.probabilities.argmax(axis=1)
    return float(np.mean(predicted == reference.labels))


def differences(found: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """agreement of top-1, and largest and mean difference of probabilities."""
    apart = np.abs(found - expected)
    return {
        "agreement": float(np.mean(found.argmax(axis=1) == expected.argmax(axis=1))),
        "max_difference": float(apart.max()),
        "mean_difference": float(apart.mean()),
    }


def failures(kind: Format, figures: dict[str, Any], top1: float) -> list[str]:
    """Which of the format's limits the figures break, in words."""
    found = []
    apart, agreement = figures["max_difference"], figures["agreement"]
    if kind.most_difference is not None and not apart <= kind.most_difference:
        found.append(
            f"probabilities differ by up to {apart:.2g}, "
            f"allowed {kind.most_difference:g}"
        )
    if kind.least_agreement is not None and agreement < kind.least_agreement:
        found.append(
            f"agrees on {agreement:.4f} of the images, needed {kind.least_agreement:g}"
        )
    if kind.most_drop is not None:
        allowed = max(kind.most_drop, THREE_IMAGES / figures["images"]) + 1e-9
        if top1 - figures["top1"] > allowed:
            found.append(
                f"top-1 drops by {top1 - figures['top1']:.4f}, allowed {allowed:.4f}"
            )
    return found
