"""An exported file with its labels and geometry: used like a Classifier."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras import records
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.transforms import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.runtimes import (
    ONNX,
    TFLITE,
    Runtime,
    is_exported,
    onnx_texts,
    open_runtime,
)

LABELS, DESCRIPTION = "labels.txt", "classifier.json"  # what travels in every file
EXTRA = "assets.extra"  # the folder of a SavedModel that TensorFlow leaves alone
FLOAT_STEP = 1e-12  # the least probability that a loss is taken of


@dataclass(frozen=True)
class Exported:
    """A .tflite or .onnx file or a SavedModel folder that export.py made.

    It has the main head alone and gives probabilities, whose logarithms are its logits.
    """

    runtime: Runtime
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    heads: tuple[str, ...] = ("main",)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """The softmax, [batch, classes], for preprocessed images."""
        return self.runtime(np.asarray(images))

    def logits(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Logarithms of the probabilities, [batch, classes].

        A probability of 0 counts as half the smallest that the file can tell.
        """
        least = getattr(self.runtime, "step", 0) / 2 or FLOAT_STEP
        return {"main": np.log(np.maximum(self.probabilities(images), least))}


def open_exported(path: Path, threads: int = 0) -> Exported:
    """Opens what export.py made. Raises UserError for anything else and for damage."""
    labels, preprocessing = described(path)
    return Exported(open_runtime(path, threads), labels, preprocessing)


def described(path: Path) -> tuple[tuple[str, ...], Preprocessing]:
    """The labels and the preprocessing in an exported file, which is not run.

    Raises UserError where they cannot be read.
    """
    if not path.exists():
        raise UserError(f"no such exported file: {path}.")
    try:
        texts = _texts(path)
        preprocessing = json.loads(texts[DESCRIPTION])["preprocessing"]
        return tuple(texts[LABELS].splitlines()), Preprocessing(**preprocessing)
    except (KeyError, TypeError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            "an exported file has its labels and its preprocessing inside; in "
            f"{path} they cannot be read ({error}). Export it with export.py."
        ) from error


def open_classifier(path: Path, threads: int = 0) -> Classifier | Exported:
    """A run's classifier, a saved one, or an exported file. Raises UserError."""
    if is_exported(path):
        return open_exported(path, threads)
    return Classifier.load(path)


def run_of(path: Path) -> Path:
    """The run that an exported file lies in, or else `path` itself."""
    inside = is_exported(path) and path.parent.name == records.EXPORT
    return path.parent.parent if inside else path


def description(classifier: Classifier | Exported) -> dict[str, Any]:
    """What travels in every exported file beside the labels."""
    return {"preprocessing": classifier.preprocessing.to_json()}


def _texts(path: Path) -> Mapping[str, str]:
    if path.suffix == ONNX:
        return onnx_texts(path)
    if path.suffix != TFLITE:
        folder = path / EXTRA
        return {name: (folder / name).read_text() for name in (LABELS, DESCRIPTION)}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}
