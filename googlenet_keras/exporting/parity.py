"""The parity check: compares an exported file with the Keras network."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from googlenet_keras.artifacts.contents import Contents
from googlenet_keras.console import progress_bar
from googlenet_keras.data import pipeline
from googlenet_keras.data.dataset import Split
from googlenet_keras.evaluation.metrics import macro_f1
from googlenet_keras.exporting.formats import Format
from googlenet_keras.exporting.measuring import (
    Answers,
    ArtifactError,
    Measurement,
    measure,
)
from googlenet_keras.exporting.report import FormatRow

PARITY_BATCH_SIZE = 16
ALLOWED_LOST_IMAGES = 3  # that top-1 may always lose
CHECKED_PHOTOS = 32  # validation images that a SavedModel also gets as files


@dataclass(frozen=True)
class Images:
    """The images for the parity check, and the contents that each file must carry.

    labels: [images] true classes, as numbers of the classifier.
    """

    split: Split
    labels: np.ndarray
    contents: Contents

    def batches(self, description: str) -> Iterator[np.ndarray]:
        """Preprocessed images in reading order; a terminal shows a progress bar."""
        examples = pipeline.evaluation_batches(
            self.split,
            self.contents.preprocessing,
            heads=("main",),
            batch_size=PARITY_BATCH_SIZE,
        )
        with progress_bar() as bar:
            task = bar.add_task(description, total=self.split.count)
            for images, _ in examples:
                yield images.numpy()
                bar.advance(task, len(images))

    def photos(self) -> list[bytes]:
        """The first images, encoded."""
        references = self.split.in_order().take(CHECKED_PHOTOS)
        return [self.split.load(reference).numpy() for _, _, reference in references]

    def measure(
        self, path: Path, name: str, log: Path, takes_photos: bool = False
    ) -> Measurement:
        """Runs the file, or the saved Classifier, at `path`. Raises ArtifactError."""
        geometry = self.contents.preprocessing
        return measure(
            path,
            (geometry.height, geometry.width),
            self.batches(f"{name}: running"),
            log,
            self.photos() if takes_photos else (),
        )


@dataclass(frozen=True)
class Reference:
    """The Keras network's probabilities, [images, classes], for `images`."""

    images: Images
    probabilities: np.ndarray

    @property
    def top1(self) -> float:
        """The network's top-1."""
        return _top1(self.probabilities, self.images.labels)


def figures(measurement: Measurement, labels: np.ndarray) -> FormatRow:
    """The cost and the accuracy of a file, for its row of the report."""
    probabilities = measurement.probabilities
    predicted = probabilities.argmax(axis=1)
    return {
        **measurement.cost,
        "images": len(labels),
        "top1": _top1(probabilities, labels),
        "macro_f1": macro_f1(labels, predicted, probabilities.shape[1]),
    }


def _top1(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def compare(path: Path, format: Format, reference: Reference, log: Path) -> FormatRow:
    """Checks the file at `path` against the network; returns its row of the report.

    The labels and the preprocessing that it carries must be the classifier's, and its
    answers in its own runtime near the network's. Raises ArtifactError or UserError for
    a file that cannot be judged.
    """
    contents, images = Contents.read(path), reference.images
    if contents.labels != images.contents.labels:
        raise ArtifactError("its labels are not the classifier's, in their order")
    if contents.preprocessing != images.contents.preprocessing:
        raise ArtifactError("its preprocessing is not the classifier's")
    measurement = images.measure(path, format.name, log, format.takes_photos)
    row = figures(measurement, images.labels)
    row.update(differences(measurement.probabilities, reference.probabilities))
    reasons = failures(format, row, reference.top1)
    if measurement.photos is not None:
        reasons += photo_failures(format, measurement.photos, reference)
    row.update({"passed": not reasons, "reason": "; ".join(reasons) or None})
    return row


def differences(probabilities: np.ndarray, expected: np.ndarray) -> FormatRow:
    """Top-1 agreement, and largest and mean difference of the probabilities."""
    apart = np.abs(probabilities - expected)
    agrees = probabilities.argmax(axis=1) == expected.argmax(axis=1)
    return {
        "agreement": float(np.mean(agrees)),
        "max_difference": float(apart.max()),
        "mean_difference": float(apart.mean()),
    }


def failures(format: Format, row: FormatRow, top1: float) -> list[str]:
    """The reasons why a row breaks the limits of its format, if any.

    top1: the network's.
    """
    reasons = []
    apart, agreement = row["max_difference"], row["agreement"]
    if format.max_difference is not None and not apart <= format.max_difference:
        reasons.append(
            f"probabilities differ by up to {apart:.2g}, "
            f"allowed {format.max_difference:g}"
        )
    if format.min_agreement is not None and agreement < format.min_agreement:
        reasons.append(
            f"agrees on {agreement:.4f} of the images, needed {format.min_agreement:g}"
        )
    if format.max_top1_drop is not None:
        allowed = max(format.max_top1_drop, ALLOWED_LOST_IMAGES / row["images"])
        drop = top1 - row["top1"]
        if drop > allowed + 1e-9:
            reasons.append(f"top-1 drops by {drop:.4f}, allowed {allowed:.4f}")
    return reasons


def photo_failures(format: Format, photos: Answers, reference: Reference) -> list[str]:
    """The reasons why the predictions for encoded photos are wrong, if any."""
    (probabilities, first_labels), reasons = photos, []
    expected = reference.probabilities[: len(probabilities)]
    apart, allowed = (
        float(np.abs(probabilities - expected).max()),
        format.max_difference,
    )
    if allowed is not None and not apart <= allowed:
        reasons.append(f"serve_bytes differs by up to {apart:.2g}, allowed {allowed}")
    labels = reference.images.contents.labels
    if first_labels != [labels[i] for i in probabilities.argmax(axis=1)]:
        reasons.append("serve_bytes gives labels that are not its probabilities'")
    return reasons
