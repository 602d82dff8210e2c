"""Artifact: an exported file, used like a Classifier."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import current_process
from pathlib import Path
from typing import Self

import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.artifacts.isolated import MAX_ARTIFACT_BYTES, IsolatedRuntime
from googlenet_keras.artifacts.runtimes import (
    ASSETS_FOLDER,
    Runtime,
    contents_error,
    find_kind,
    is_artifact,
    open_runtime,
    read_texts,
)
from googlenet_keras.calibration import Calibration
from googlenet_keras.classifier import DESCRIPTION_FILE, Classifier
from googlenet_keras.data.dataset import check_labels
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.files import check_readable, convert
from googlenet_keras.installation import require
from googlenet_keras.predictor import Predictor
from googlenet_keras.run_folder import RunFolder

SMALLEST_PROBABILITY = 1e-12  # that a float file tells from 0, for its logarithm
LARGEST_PROBABILITY = 1.001  # of rounded numbers
LABELS_FILE = "labels.txt"
TEXT_FILES = (LABELS_FILE, DESCRIPTION_FILE)


@dataclass(frozen=True)
class Artifact(Predictor):
    """An exported file, ready to run; used like a Classifier, with the main head only.

    `export` made it: a file or folder of one of artifacts.runtimes.KINDS.
    """

    runtime: Runtime | IsolatedRuntime
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    calibration: Calibration | None = None
    none_output: bool = False

    @classmethod
    def load(cls, path: Path | str, threads: int = 0) -> Self:
        """Loads an exported file with its runtime.

        threads: 0 for one on each core. Raises UserError for anything else and for a
        damaged file.
        """
        path = Path(path)
        runtime: Runtime | IsolatedRuntime
        if not path.exists():
            raise UserError(f"no such exported file: {path}.")
        kind = find_kind(path)
        if kind and kind.library:
            extra, module = kind.library
            require(kind.description, extra, [module])
        # a SavedModel is a program, to be trusted or not to be opened
        is_data = kind is not None and kind.is_data
        if is_data:
            inside = (file for file in path.rglob("*") if not file.is_dir())
            for file in inside if path.is_dir() else [path]:
                check_readable(file, MAX_ARTIFACT_BYTES)
        if is_data and not current_process().daemon:
            runtime = IsolatedRuntime(path, threads, TEXT_FILES)
            contents = Contents.parse(runtime.texts, path)
        else:  # a daemon may have no child process
            contents, runtime = Contents.read(path), open_runtime(path, threads)
        labels, size = contents.labels, contents.preprocessing.size
        if (runtime.classes, runtime.size) != (len(labels), size):
            raise UserError(
                f"{path} has {len(labels)} labels and a preprocessing to {size} for "
                f"{runtime.classes} probabilities of images of {runtime.size}; export "
                "it again."
            )
        return cls(
            runtime,
            labels,
            contents.preprocessing,
            contents.calibration,
            contents.none_output,
        )

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        found = self.runtime(np.asarray(images))
        shape = (len(images), len(self.labels))
        in_range = (found >= 0) & (found <= LARGEST_PROBABILITY)  # NaN is not
        if found.shape != shape or not in_range.all():
            raise UserError(
                f"probabilities must be {list(shape)} and in 0..1; this file gives "
                f"{list(found.shape)}, or numbers that are not. Export it again."
            )
        return found

    def log_probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The main head's log-softmax, [batch, classes] float64.

        A probability of 0 counts as half the smallest that the file can tell, spread
        over the classes, so that they sum to little.
        """
        least = (self.runtime.step or SMALLEST_PROBABILITY) / 2 / len(self.labels)
        found = np.maximum(self.probabilities(images), least).astype(np.float64)
        total = found.sum(axis=1, keepdims=True)  # 1, but for rounding
        if self.none_output:
            total = np.maximum(total, 1)
        return {"main": np.log(found / total)}


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
    """Labels, preprocessing, architecture and calibration of an exported file.

    Raises UserError for a label that does not fit on a line of a text file.
    """

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    architecture: Architecture
    calibration: Calibration | None = None
    none_output: bool = False

    def __post_init__(self) -> None:
        check_labels(self.labels)

    @classmethod
    def of(cls, classifier: Classifier) -> Self:
        """The contents that go into every exported file of `classifier`."""
        return cls(
            classifier.labels,
            classifier.preprocessing,
            classifier.architecture,
            classifier.calibration,
            classifier.none_output,
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the contents of an exported file without running it.

        Raises UserError if there is no such file or they cannot be read.
        """
        if not path.exists():
            raise UserError(f"no such exported file: {path}.")
        return cls.parse(read_texts(path, TEXT_FILES), path)

    @classmethod
    def parse(cls, texts: Mapping[str, str], path: Path) -> Self:
        """The contents from the `texts` inside the file `path`. Raises UserError."""
        try:
            description = json.loads(texts[DESCRIPTION_FILE])
            fitted = dict(description).get("calibration")  # older files have none
            return cls(
                tuple(texts[LABELS_FILE].splitlines()),
                Preprocessing.from_json(description["preprocessing"]),
                Architecture.from_json(description["architecture"]),
                Calibration.from_json(fitted) if fitted else None,
                convert(description.get("none_output", False), bool, "none_output"),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise contents_error(path, error) from error

    def to_texts(self) -> dict[str, str]:
        """The contents as text files, by file name; the same in every format."""
        description = {
            "architecture": self.architecture.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            "calibration": self.calibration.to_json() if self.calibration else None,
            "none_output": self.none_output,
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
