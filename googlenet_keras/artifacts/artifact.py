"""An exported file with its labels and geometry: used like a Classifier."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from googlenet_keras import run_folder
from googlenet_keras.artifacts.runtimes import (
    ONNX,
    TFLITE,
    Runtime,
    is_exported,
    onnx_texts,
    open_runtime,
)
from googlenet_keras.classifier import DESCRIPTION_FILE, Classifier
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.prediction import Predictor

LABELS = "labels.txt"  # travels in every file, as DESCRIPTION_FILE does
EXTRA = "assets.extra"  # the folder of a SavedModel that TensorFlow leaves alone
FLOAT_STEP = 1e-12  # the least probability that a loss is taken of


@dataclass(frozen=True)
class Exported(Predictor):
    """A .tflite or .onnx file or a SavedModel folder that export.py made.

    It has the main head only.
    """

    runtime: Runtime
    labels: tuple[str, ...]
    preprocessing: Preprocessing

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return self.runtime(np.asarray(images))

    def log_probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The logarithms of the probabilities, [batch, classes].

        A probability of 0 counts as half the smallest that the file can tell, spread
        over the classes, so that they sum to little.
        """
        step = getattr(self.runtime, "step", 0) or FLOAT_STEP
        least = step / 2 / len(self.labels)
        return {"main": np.log(np.maximum(self.probabilities(images), least))}


def open_exported(path: Path, threads: int = 0) -> Exported:
    """Opens what export.py made. Raises UserError for anything else and for damage."""
    labels, preprocessing = described(path)
    runtime = open_runtime(path, threads)
    if runtime.classes != len(labels):
        raise UserError(
            f"{path} has {runtime.classes} outputs and {len(labels)} labels; export it "
            "again."
        )
    return Exported(runtime, labels, preprocessing)


def described(path: Path) -> tuple[tuple[str, ...], Preprocessing]:
    """The labels and the preprocessing in an exported file, which is not run.

    Raises UserError where they cannot be read.
    """
    if not path.exists():
        raise UserError(f"no such exported file: {path}.")
    try:
        found = _texts(path)
        preprocessing = json.loads(found[DESCRIPTION_FILE])["preprocessing"]
        return tuple(found[LABELS].splitlines()), Preprocessing.from_json(preprocessing)
    except UserError:
        raise
    except Exception as error:  # a damaged archive raises what it likes
        raise UserError(
            "an exported file has its labels and its preprocessing inside; in "
            f"{path} they cannot be read ({error}). Export it with export.py."
        ) from error


def open_classifier(path: Path) -> Classifier | Exported:
    """A run's classifier, a saved one, or an exported file. Raises UserError."""
    if is_exported(path):
        return open_exported(path)
    return Classifier.load(path)


def run_of(path: Path) -> Path:
    """The run that an exported file lies in, or else `path` itself."""
    folder = path.resolve().parent
    inside = is_exported(path) and folder.name == run_folder.EXPORT
    return folder.parent if inside else path


def texts(classifier: Classifier) -> dict[str, str]:
    """What travels in every exported file, by name: its labels; how it is made and fed.

    Raises UserError for a label that does not fit on a line of a text file.
    """
    for label in classifier.labels:
        if label.splitlines() != [label] or not _is_text(label):
            raise UserError(
                f"a label must be one line of UTF-8 text; received {label!r}. Rename "
                "its class folder and train again."
            )
    preprocessing = classifier.preprocessing.to_json()
    return {
        LABELS: "\n".join(classifier.labels) + "\n",
        DESCRIPTION_FILE: json.dumps(
            {
                "architecture": classifier.architecture.to_json(),
                "preprocessing": preprocessing,
            }
        ),
    }


def _is_text(label: str) -> bool:
    try:
        label.encode()
    except UnicodeEncodeError:  # half a surrogate pair: no UTF-8 file name
        return False
    return True


def _texts(path: Path) -> Mapping[str, str]:
    names = (LABELS, DESCRIPTION_FILE)
    if path.suffix == ONNX:
        return onnx_texts(path)
    if path.suffix != TFLITE:
        return {name: (path / EXTRA / name).read_text("utf-8") for name in names}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in names}
