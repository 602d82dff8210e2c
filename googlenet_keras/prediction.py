"""What a Classifier sees in image files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from googlenet_keras.artifacts.artifact import Exported
from googlenet_keras.classifier import Classifier
from googlenet_keras.console import track
from googlenet_keras.data.folder_source import files_below
from googlenet_keras.data.pipeline import EVALUATION_BATCH
from googlenet_keras.errors import UserError


@dataclass(frozen=True)
class Prediction:
    """One file's likeliest labels with their probabilities, likeliest first.

    top is empty for a file, found in a folder, that is no image.
    """

    path: Path
    top: tuple[tuple[str, float], ...]


def predict(
    classifier: Classifier | Exported, paths: Sequence[Path | str], top: int = 5
) -> Iterator[Prediction]:
    """The `top` labels of each image file; a folder stands for the files in it.

    Raises UserError for a path that does not exist, a folder without files, a file
    named here that is no image, and `top` below 1.
    """
    if top < 1:
        raise UserError(f"top must be at least 1; received {top}.")
    files = _files([Path(path) for path in paths])
    batches = range(0, len(files), EVALUATION_BATCH)
    for start in track(batches, "reading images"):
        yield from _predict(classifier, files[start : start + EVALUATION_BATCH], top)


def _files(paths: Sequence[Path]) -> list[tuple[Path, bool]]:
    """(file, whether it was named) for each path and each file of a folder."""
    if not paths:
        raise UserError("predict needs at least one image file or folder.")
    found: list[tuple[Path, bool]] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"no such image or folder: {path}.")
        inside = [(file, False) for file in files_below(path)]
        if path.is_dir() and not inside:
            raise UserError(f"a folder to predict needs images; {path} has no files.")
        found += inside if path.is_dir() else [(path, True)]
    return found


def _predict(
    classifier: Classifier | Exported, files: Sequence[tuple[Path, bool]], top: int
) -> Iterator[Prediction]:
    images = [read(classifier, path, named) for path, named in files]
    found = [image for image in images if image is not None]
    rows = iter(classifier.probabilities(np.stack(found)) if found else ())
    for (path, _), image in zip(files, images, strict=True):
        likeliest = _likeliest(classifier, next(rows), top) if image is not None else ()
        yield Prediction(path, likeliest)


def _likeliest(
    classifier: Classifier | Exported, row: np.ndarray, top: int
) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-row, kind="stable")[:top]
    return tuple((classifier.labels[i], float(row[i])) for i in order)


def read(
    classifier: Classifier | Exported, path: Path, named: bool
) -> np.ndarray | None:
    """The preprocessed image in a file; none for one that is none and was not `named`.

    Raises UserError for one that was.
    """
    try:
        image = classifier.preprocessing.read(tf.io.read_file(str(path)))
    except (tf.errors.OpError, UnicodeError) as error:
        if not named:
            return None
        raise UserError(
            f"an image must be a whole JPEG, PNG, GIF, BMP or WebP file; {path} is not."
        ) from error
    return image.numpy()
