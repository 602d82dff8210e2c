"""Classifier: a trained network with its labels, preprocessing and provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError
from scipy.special import log_softmax, softmax

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_bytes, write_json
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import assign_weights, named_weights
from googlenet_keras.prediction import Predictor
from googlenet_keras.run_folder import RunFolder

if TYPE_CHECKING:
    import keras

    from googlenet_keras.weights.importing import Labels
    from googlenet_keras.weights.pretrained import Source

DESCRIPTION_FILE = "classifier.json"
WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True)
class Classifier(Predictor):
    """A trained network with its labels, preprocessing and provenance.

    network: images [batch, height, width, 3] in 0..255 to logits by head. architecture:
    what it was built from. labels: class names in the order of the logits. provenance:
    how it was made, as plain values.
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
        """Each head's logits, [batch, classes], of preprocessed images."""
        return self.network.predict_on_batch(images)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return softmax(self.logits(images)["main"], axis=1)

    def log_probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {
            head: log_softmax(logits.astype(np.float64), axis=1)
            for head, logits in self.logits(images).items()
        }

    def save(self, folder: Path | str) -> None:
        """Writes classifier.json and weights.safetensors, each atomically."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        description = {
            "architecture": self.architecture.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            "labels": list(self.labels),
            "heads": list(self.heads),
            "provenance": dict(self.provenance),
        }
        write_json(folder / DESCRIPTION_FILE, description)
        weights = safetensors.numpy.save(named_weights(self.network))
        write_bytes(folder / WEIGHTS_FILE, weights)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Loads a saved Classifier, or that of a run; no code in the files is executed.

        Raises UserError for another folder and for damaged files.
        """
        folder = description_file(Path(folder)).parent
        description = read_json(folder / DESCRIPTION_FILE)
        try:
            classifier = cls._build(description)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{folder / DESCRIPTION_FILE} is damaged: {error}"
            ) from error
        assign_weights(classifier.network, _read_weights(folder / WEIGHTS_FILE))
        return classifier

    @classmethod
    def from_pretrained(
        cls, source: Source, *, variant: str | None = None, labels: Labels | None = None
    ) -> Classifier:
        """Loads a pretrained Classifier, such as `from_pretrained("torchvision")`.

        source: torchvision, caffe, onnx-zoo or slim, which are downloaded once; a run
        or its folder; a saved Classifier's folder; a file of published weights (.pth,
        .safetensors, .onnx, .caffemodel, .ckpt, .tar.gz). variant: the network that
        published weights become; None: their own. labels: other names for the classes:
        a sequence, a file with one on each line, or "names" or "wordnet" for
        ImageNet's. Raises UserError.
        """
        from googlenet_keras.weights.pretrained import load_pretrained

        return load_pretrained(source, variant=variant, labels=labels)

    @classmethod
    def _build(cls, description: Mapping[str, Any]) -> Self:
        """The Classifier with freshly initialized weights."""
        preprocessing = Preprocessing.from_json(description["preprocessing"])
        architecture = Architecture.from_json(description["architecture"])
        network = build_network(
            architecture,
            classes=len(description["labels"]),
            image_size=(preprocessing.height, preprocessing.width),
            auxiliary=len(description["heads"]) > 1,
        )
        labels = tuple(description["labels"])
        return cls(
            network, architecture, preprocessing, labels, description["provenance"]
        )


def description_file(folder: Path) -> Path:
    """The classifier.json of a saved Classifier or of a run.

    Raises UserError for another folder.
    """
    if not (folder / DESCRIPTION_FILE).is_file():
        folder = RunFolder.open(folder).classifier
    if not (folder / DESCRIPTION_FILE).is_file():
        raise UserError(
            f"a run keeps its best epoch in classifier/, and {folder} "
            f"has no {DESCRIPTION_FILE}; train again, or name a folder that has one."
        )
    return folder / DESCRIPTION_FILE


def _read_weights(path: Path) -> dict[str, np.ndarray]:
    try:
        return safetensors.numpy.load_file(path)
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise UserError(f"{path} holds no weights: {error}.") from error
