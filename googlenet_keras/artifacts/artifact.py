"""An exported file with its runtime, its labels and its preprocessing."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Self

import numpy as np
from scipy.special import log_softmax

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.artifacts.runtimes import (
    ONNX_SUFFIX,
    TFLITE_SUFFIX,
    OnnxRuntime,
    Runtime,
    is_artifact,
    open_runtime,
)
from googlenet_keras.classifier import DESCRIPTION_FILE, Classifier, Predictor
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.run_folder import RunFolder

SMALLEST_PROBABILITY = 1e-12  # that a float file tells from 0, for its logarithm
LABELS_FILE = "labels.txt"
ASSETS_FOLDER = "assets.extra"  # of a SavedModel; TensorFlow leaves it alone


@dataclass(frozen=True)
class Artifact(Predictor):
    """An exported file, ready to run; used like a Classifier, with the main head only.

    It is a .tflite file, a .onnx file or a SavedModel folder that export.py made.
    """

    runtime: Runtime
    labels: tuple[str, ...]
    preprocessing: Preprocessing

    @classmethod
    def load(cls, path: Path | str, threads: int = 0) -> Self:
        """Loads an exported file with its runtime.

        threads: 0 for one on each core. Raises UserError for anything else and for a
        damaged file.
        """
        path = Path(path)
        contents, runtime = Contents.read(path), open_runtime(path, threads)
        labels = contents.labels
        if runtime.classes != len(labels):
            raise UserError(
                f"{path} has {runtime.classes} outputs and {len(labels)} labels; "
                "export it again."
            )
        return cls(runtime, labels, contents.preprocessing)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return self.runtime(np.asarray(images))

    def log_probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The main head's log-softmax, [batch, classes] float64.

        A probability of 0 counts as half the smallest that the file can tell, spread
        over the classes, so that they sum to little.
        """
        least = (self.runtime.step or SMALLEST_PROBABILITY) / 2 / len(self.labels)
        logs = np.log(np.maximum(self.probabilities(images), least))
        return {"main": log_softmax(logs.astype(np.float64), axis=1)}


def open_classifier(path: Path | str) -> Classifier | Artifact:
    """Opens a run's classifier, a saved one or an exported file. Raises UserError."""
    path = Path(path)
    return Artifact.load(path) if is_artifact(path) else Classifier.load(path)


def find_run(path: Path) -> Path:
    """Returns the run whose export folder contains `path`, or else `path` itself."""
    run = RunFolder(path.resolve().parent.parent)
    is_inside = is_artifact(path) and path.resolve().parent == run.export
    return run.path if is_inside else path


@dataclass(frozen=True)
class Contents:
    """Labels, preprocessing and architecture of an exported file.

    Raises UserError for a label that does not fit on a line of a text file.
    """

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    architecture: Architecture

    def __post_init__(self) -> None:
        for label in self.labels:
            # a file name that is not UTF-8 has halves of surrogate pairs, lost here
            if label.encode(errors="ignore").decode().splitlines() != [label]:
                raise UserError(
                    f"a label must be one line of UTF-8 text; received {label!r}. "
                    "Rename its class folder and train again."
                )

    @classmethod
    def of(cls, classifier: Classifier) -> Self:
        """The contents that go into every exported file of `classifier`."""
        return cls(classifier.labels, classifier.preprocessing, classifier.architecture)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the contents of an exported file without running it.

        Raises UserError if there is no such file or they cannot be read.
        """
        if not path.exists():
            raise UserError(f"no such exported file: {path}.")
        try:
            texts = _read_texts(path)
            description = json.loads(texts[DESCRIPTION_FILE])
            return cls(
                tuple(texts[LABELS_FILE].splitlines()),
                Preprocessing.from_json(description["preprocessing"]),
                Architecture.from_json(description["architecture"]),
            )
        except UserError:
            raise
        except Exception as error:  # a damaged archive raises anything
            raise UserError(
                "an exported file has its labels and its preprocessing inside; in "
                f"{path} they cannot be read ({error}). Export it with export.py."
            ) from error

    def to_texts(self) -> dict[str, str]:
        """The contents as text files, by file name; the same in every format."""
        description = {
            "architecture": self.architecture.to_json(),
            "preprocessing": self.preprocessing.to_json(),
        }
        return {
            LABELS_FILE: "\n".join(self.labels) + "\n",
            DESCRIPTION_FILE: json.dumps(description),
        }

    def add_to_tflite(self, data: bytes) -> bytes:
        """Appends the contents to the TFLite file `data`, as a ZIP archive.

        MediaPipe's own writer does the same; interpreters read past it.
        """
        file = BytesIO(data)
        with zipfile.ZipFile(file, "a") as archive:
            for name, text in self.to_texts().items():
                archive.writestr(name, text)
        return file.getvalue()

    def add_to_saved_model(self, folder: Path) -> None:
        """Writes the contents into the folder of a SavedModel."""
        assets = folder / ASSETS_FOLDER
        assets.mkdir()
        for name, text in self.to_texts().items():
            (assets / name).write_text(text, "utf-8")


def _read_texts(path: Path) -> Mapping[str, str]:
    names = (LABELS_FILE, DESCRIPTION_FILE)
    if path.suffix == ONNX_SUFFIX:
        return OnnxRuntime(path, threads=1).metadata()
    if path.suffix != TFLITE_SUFFIX:
        return {n: (path / ASSETS_FOLDER / n).read_text("utf-8") for n in names}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in names}
