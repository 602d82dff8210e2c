"""Compares the top-1 of MediaPipe's own ImageClassifier with that of `evaluate`.

    python -m benchmarks.mediapipe_top1 RUN [--megapixels 12]

RUN was exported with the metadata of requirements-mobile.txt. A row for the network as
`evaluate` crops, for int8.tflite given whole photographs, for the same with the region
of interest of its preprocessing, and for phone.tflite, which takes whole photographs:
the top-1 on the photographs of all splits that are named, together, and its difference
from the first row with the 95 % interval of pairs. With --megapixels MediaPipe is given
enlarged and sharpened photographs, in place of a camera's, which it shrinks without
antialiasing; a further row is for such photographs that the program has halved first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from PIL import Image, ImageOps
from rich import box
from rich.console import Console
from rich.table import Table

import googlenet_keras as gk
from googlenet_keras.evaluation.metrics import (
    ImageScores,
    concatenate,
    score_images,
    top1_difference,
)
from tests.running_mediapipe import by_mediapipe

HALVED_SIDES = 2  # of the input, at least, in a photograph that was halved first
LEAST_PROBABILITY = 1e-6  # a label that MediaPipe leaves out has none


@dataclass(frozen=True)
class Options:
    """Options of the comparison."""

    run: Annotated[Path, tyro.conf.Positional]
    """The folder of a run that was trained on a folder of photographs and exported."""
    splits: tuple[str, ...] = ("validation", "test")
    """Whose photographs are classified."""
    megapixels: float = 0.0
    """Enlarge the photographs to this size for MediaPipe; 0: do not."""


def region(file: gk.Artifact, photo: Path) -> dict[str, float]:
    """The region of interest that a program passes with a photograph."""
    width, height = ImageOps.exif_transpose(Image.open(photo)).size
    return file.preprocessing.region_of_interest(height, width)._asdict()


def scores(
    labels: Sequence[str], truth: np.ndarray, answers: Sequence[dict[str, float]]
) -> ImageScores:
    """Scores MediaPipe's answers, each a probability by label."""
    found = np.array([[x.get(name, 0) for name in labels] for x in answers])
    return score_images(np.log(np.maximum(found, LEAST_PROBABILITY)), truth)


def compare(
    run: gk.Run, splits: Sequence[str], megapixels: float
) -> dict[str, ImageScores]:
    """The scores of each row of the table, by its name."""
    evaluations = [gk.evaluate(run.classifier, run.dataset, split) for split in splits]
    found = {"evaluate": concatenate([x.main for x in evaluations])}
    photos = [path for split in splits for path in run.dataset.split(split).files]
    int8, phone = (run.folder.export / f"{x}.tflite" for x in ("int8", "phone"))
    file = gk.Artifact.load(int8)
    whole, centers = [None] * len(photos), [region(file, path) for path in photos]
    views: dict[str, tuple[Path, list[Any], int]] = {
        "int8, whole photograph": (int8, whole, 0),
        "int8, region of interest": (int8, centers, 0),
        "phone, whole photograph": (phone, whole, 0),
    }
    if megapixels:
        least_side = HALVED_SIDES * max(file.preprocessing.size)
        views["int8, region of interest, halved"] = (int8, centers, least_side)
    for name, (model, regions, least_side) in views.items():
        calls = zip([model] * len(photos), photos, regions, strict=True)
        answers = by_mediapipe(*calls, megapixels=megapixels, least_side=least_side)
        found[name] = scores(run.classifier.labels, found["evaluate"].label, answers)
    return found


def main() -> None:
    """Classifies the photographs and prints the table."""
    options = tyro.cli(Options, description=__doc__)
    found = compare(gk.Run(options.run), options.splits, options.megapixels)
    table = Table("answers of", "top-1", "difference", "95 %", box=box.SIMPLE)
    for name, row in found.items():
        gap, (low, high) = top1_difference(row, found["evaluate"])
        cells = (
            f"{row.correct.mean():.4f}",
            f"{gap:+.4f}",
            f"{low:+.4f} to {high:+.4f}",
        )
        table.add_row(name, *cells)
    Console().print(table)
    print(f"{len(found['evaluate'].label)} photographs")


if __name__ == "__main__":
    main()
