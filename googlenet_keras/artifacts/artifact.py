"""An exported file with its runtime, its labels and its preprocessing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from scipy.special import log_softmax

from googlenet_keras.artifacts.contents import Contents
from googlenet_keras.artifacts.runtimes import Runtime, is_artifact, open_runtime
from googlenet_keras.classifier import Classifier, Predictor
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.run_folder import RunFolder

SMALLEST_PROBABILITY = 1e-12  # that a float file tells from 0, for its logarithm


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
        contents = Contents.read(path)
        runtime, labels = open_runtime(path, threads), contents.labels
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
        smallest = self.runtime.step or SMALLEST_PROBABILITY
        least = smallest / 2 / len(self.labels)
        logs = np.log(np.maximum(self.probabilities(images), least))
        return {"main": log_softmax(logs.astype(np.float64), axis=1)}


def open_classifier(path: Path | str) -> Classifier | Artifact:
    """Opens a run's classifier, a saved classifier or an exported file.

    Raises UserError.
    """
    path = Path(path)
    return Artifact.load(path) if is_artifact(path) else Classifier.load(path)


def find_run(path: Path) -> Path:
    """Returns the run whose export folder contains `path`, or else `path` itself."""
    run = RunFolder(path.resolve().parent.parent)
    is_inside = is_artifact(path) and path.resolve().parent == run.export
    return run.path if is_inside else path
