"""The parity check: compares an exported file with the Keras network."""

from pathlib import Path

import numpy as np

from googlenet_keras.artifacts.artifact import Contents
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.metrics import CONFIDENCE_LEVEL, paired_difference
from googlenet_keras.exporting.formats import ALLOWED_LOST_IMAGES, Format
from googlenet_keras.exporting.measuring import Answers, Images
from googlenet_keras.exporting.report import FormatRow, Top1Loss


def compare(
    path: Path, format: Format, images: Images, expected: np.ndarray, log: Path
) -> FormatRow:
    """Checks the file at `path` against the network; returns its row of the report.

    The labels and the preprocessing that it carries must be the classifier's, and its
    answers in its own runtime near the network's. expected: the network's
    probabilities, [images, classes]. Raises UserError for a file that cannot be judged.
    """
    contents, labels = Contents.read(path), images.labels
    if contents.labels != images.contents.labels:
        raise UserError("its labels are not the classifier's, in their order")
    if contents.preprocessing != images.contents.preprocessing:
        raise UserError("its preprocessing is not the classifier's")
    measurement = images.measure(path, format.name, log, format.takes_photos)
    row, found = measurement.row, measurement.probabilities
    classes, apart = expected.argmax(axis=1), np.abs(found - expected)
    row["agreement"] = float(np.mean(found.argmax(axis=1) == classes))
    row["max_difference"] = float(apart.max())
    row["mean_difference"] = float(apart.mean())
    reasons = failures(format, row, top1=float(np.mean(classes == labels)))
    if format.max_top1_drop < 1:
        row["top1_loss"] = top1_loss(
            classes == labels, found.argmax(axis=1) == labels, format.max_top1_drop
        )
    if measurement.photos is not None:
        reasons += photo_failures(format, measurement.photos, expected, contents.labels)
    row.update({"passed": not reasons, "reason": "; ".join(reasons) or None})
    return row


def top1_loss(network: np.ndarray, file: np.ndarray, limit: float) -> Top1Loss:
    """The confidence that a file loses less than `limit` of top-1.

    network, file: whether each is right about each image, [images] of booleans.
    """
    paired = paired_difference(network, file)
    return {
        "points": round(100 * paired.difference, 3),
        "limit_points": 100 * limit,
        "confidence": round(paired.confidence_below(limit), 4),
        "images_for_95_percent": paired.images_for(limit, CONFIDENCE_LEVEL),
    }


def failures(format: Format, row: FormatRow, top1: float) -> list[str]:
    """The reasons why a row breaks the limits of its format, if any.

    top1: the network's.
    """
    apart, agreement, drop = row["max_difference"], row["agreement"], top1 - row["top1"]
    allowed = max(format.max_top1_drop, ALLOWED_LOST_IMAGES / row["images"])
    reasons = []
    if not apart <= format.max_difference:  # NaN is none either
        reasons.append(
            f"probabilities differ by up to {apart:.2g}, "
            f"allowed {format.max_difference:g}"
        )
    if agreement < format.min_agreement:
        reasons.append(
            f"agrees on {agreement:.4f} of the images, needed {format.min_agreement:g}"
        )
    if drop > allowed + 1e-9:
        reasons.append(f"top-1 drops by {drop:.4f}, allowed {allowed:.4f}")
    return reasons


def photo_failures(
    format: Format, photos: Answers, expected: np.ndarray, labels: tuple[str, ...]
) -> list[str]:
    """The reasons why the predictions for encoded photos are wrong, if any.

    expected: the network's probabilities, of these and possibly more images.
    """
    (probabilities, likeliest), reasons = photos, []
    apart = float(np.abs(probabilities - expected[: len(probabilities)]).max())
    if not apart <= format.max_difference:
        reasons.append(
            f"serve_bytes differs by up to {apart:.2g}, allowed {format.max_difference}"
        )
    if likeliest != [labels[i] for i in probabilities.argmax(axis=1)]:
        reasons.append("serve_bytes gives labels that are not its probabilities'")
    return reasons
