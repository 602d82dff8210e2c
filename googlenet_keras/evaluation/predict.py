"""What a Classifier sees in image files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from googlenet_keras.classifier import Classifier
from googlenet_keras.data.pipeline import EVALUATION_BATCH
from googlenet_keras.data.transforms import decode
from googlenet_keras.errors import UserError


@dataclass(frozen=True)
class Prediction:
    """One file's likeliest labels with their probabilities, likeliest first."""

    path: Path
    top: tuple[tuple[str, float], ...]


def predict(
    classifier: Classifier, paths: Sequence[Path | str], top: int = 5
) -> Iterator[Prediction]:
    """The `top` labels of each image file; a folder stands for the files in it.

    Raises UserError for a path that does not exist, a folder without files and a file
    that is no image.
    """
    files = _files([Path(path) for path in paths])
    for start in range(0, len(files), EVALUATION_BATCH):
        batch = files[start : start + EVALUATION_BATCH]
        images = np.stack([_read(classifier, path) for path in batch])
        for path, row in zip(batch, classifier.probabilities(images), strict=True):
            likeliest = np.argsort(-row, kind="stable")[:top]
            named = ((classifier.labels[i], float(row[i])) for i in likeliest)
            yield Prediction(path, tuple(named))


def _files(paths: Sequence[Path]) -> list[Path]:
    if not paths:
        raise UserError("predict needs at least one image file or folder.")
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"no such image or folder: {path}.")
        inside = sorted(
            p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")
        )
        if path.is_dir() and not inside:
            raise UserError(f"a folder to predict needs images; {path} has no files.")
        found += inside if path.is_dir() else [path]
    return found


def _read(classifier: Classifier, path: Path) -> np.ndarray:
    try:
        image = decode(tf.io.read_file(str(path)))
    except tf.errors.OpError as error:
        raise UserError(
            f"an image must be a whole JPEG, PNG, GIF, BMP or WebP file; {path} is not."
        ) from error
    return classifier.preprocessing(image).numpy()
