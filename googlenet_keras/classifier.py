"""The waist of the project: a network with all that is needed to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError
from scipy.special import log_softmax, softmax

from googlenet_keras.architecture.variants import Architecture
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_bytes, write_json
from googlenet_keras.network.build import build
from googlenet_keras.network.weights import assign_weights, named_weights
from googlenet_keras.prediction import Predictor
from googlenet_keras.run_folder import RunFolder

if TYPE_CHECKING:
    import keras

DESCRIPTION = "classifier.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Classifier(Predictor):
    """A network, the numbers it was built from, its geometry, labels and origin.

    network: images [batch, height, width, 3] in 0..255 to logits by head. labels: class
    names in the order of the logits. provenance: how it came about, plain values.
    """

    network: keras.Model
    architecture: Architecture
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def heads(self) -> tuple[str, ...]:
        return tuple(self.network.output)

    def logits(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Each head's logits, [batch, classes], for preprocessed images."""
        return self.network.predict_on_batch(images)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return softmax(self.logits(images)["main"], axis=1)

    def log_probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {
            head: log_softmax(logits.astype(np.float64), axis=1)
            for head, logits in self.logits(images).items()
        }

    def save(self, folder: Path) -> None:
        """Writes classifier.json and weights.safetensors, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        description = {
            "architecture": self.architecture.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            "labels": list(self.labels),
            "heads": list(self.heads),
            "provenance": dict(self.provenance),
        }
        write_json(folder / DESCRIPTION, description)
        weights = safetensors.numpy.save(named_weights(self.network))
        write_bytes(folder / WEIGHTS, weights)

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Reads what `save` wrote; nothing in the files is executed.

        folder: a saved Classifier, or a run that has one. Raises UserError for anything
        else.
        """
        folder = description_file(Path(folder)).parent
        description = read_json(folder / DESCRIPTION)
        try:
            classifier = _unweighted(description)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{folder / DESCRIPTION} is damaged: {error}") from error
        assign_weights(classifier.network, _read_weights(folder / WEIGHTS))
        return classifier


def description_file(folder: Path) -> Path:
    """classifier.json of a saved Classifier, or of a run that has one.

    Raises UserError for another folder.
    """
    if not (folder / DESCRIPTION).is_file():
        folder = RunFolder.open(folder).classifier
    if not (folder / DESCRIPTION).is_file():
        raise UserError(
            f"a run keeps its best epoch in classifier/, and {folder} "
            f"has no {DESCRIPTION}; train again, or name a folder that has one."
        )
    return folder / DESCRIPTION


def _unweighted(description: Mapping[str, Any]) -> Classifier:
    architecture = Architecture.from_json(description["architecture"])
    preprocessing = Preprocessing(**description["preprocessing"])
    network = build(
        architecture,
        classes=len(description["labels"]),
        image_size=(preprocessing.height, preprocessing.width),
        auxiliary=len(description["heads"]) > 1,
    )
    return Classifier(
        network,
        architecture,
        preprocessing,
        tuple(description["labels"]),
        description["provenance"],
    )


def _read_weights(path: Path) -> dict[str, np.ndarray]:
    try:
        return safetensors.numpy.load_file(path)
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise UserError(f"{path} holds no weights: {error}.") from error
