"""Classifier: a trained network with its labels, preprocessing and provenance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    NotRequired,
    Self,
    TypeAlias,
    TypedDict,
)

import numpy as np
import safetensors.numpy
from msgspec import Meta
from scipy.special import log_softmax, softmax

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.calibration import Calibration
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.files import convert, read_json, write_bytes, write_json
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import (
    assign_weights,
    named_weights,
    read_safetensors,
)
from googlenet_keras.predictor import Predictor
from googlenet_keras.run_folder import RunFolder

if TYPE_CHECKING:
    import keras

    from googlenet_keras.weights.pretrained import Labels, Source

DESCRIPTION_FILE = "classifier.json"
WEIGHTS_FILE = "weights.safetensors"
MAX_HEADER_BYTES = 2**22  # of that file, which has a hundred bytes for each tensor

Label: TypeAlias = Annotated[str, Meta(min_length=1)]


class Description(TypedDict):
    """The content of classifier.json."""

    architecture: dict[str, Any]
    preprocessing: dict[str, Any]
    labels: tuple[Label, ...]
    heads: tuple[str, ...]
    provenance: dict[str, Any]
    calibration: NotRequired[dict[str, Any] | None]  # older ones have none
    none_output: NotRequired[bool]


@dataclass(frozen=True)
class Classifier(Predictor):
    """A trained network with its labels, preprocessing and provenance.

    network: images [batch, height, width, 3] in 0..255 to logits by head. architecture:
    what it was built from. labels: class names in the order of the logits, no two
    alike. provenance: how it was made, as plain values. calibration: what its
    probabilities mean, if that is known. Raises UserError for other labels.

    A network that was trained with pictures of none of the classes has a logit more
    than labels, the last: the labels' probabilities sum to less than 1, and what is
    missing is the probability of none of them.
    """

    network: keras.Model
    architecture: Architecture
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        _check_labels(self.labels)

    @property
    def heads(self) -> tuple[str, ...]:
        return tuple(self.network.output)

    @property
    def none_output(self) -> bool:
        """Whether the network has an output for none of the classes."""
        return self.network.output["main"].shape[1] > len(self.labels)

    def logits(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Each head's logits, [batch, outputs], of preprocessed images."""
        return self.network.predict_on_batch(images)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return softmax(self.logits(images)["main"], axis=1)[:, : len(self.labels)]

    def log_probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        logits = {h: x.astype(np.float64) for h, x in self.logits(images).items()}
        classes = len(self.labels)
        return {h: log_softmax(x, axis=1)[:, :classes] for h, x in logits.items()}

    def calibrate(self, calibration: Calibration) -> Self:
        """Divides the main head's logits by the temperature, in the network's weights.

        Returns the Classifier with the calibration; its network is the same object.
        """
        main = self.network.get_layer("main")
        main.set_weights([x / calibration.temperature for x in main.get_weights()])
        return replace(self, calibration=calibration)

    def save(self, folder: Path | str) -> None:
        """Writes classifier.json and weights.safetensors, each atomically."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        description: Description = {
            "architecture": self.architecture.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            "labels": self.labels,
            "heads": self.heads,
            "provenance": dict(self.provenance),
            "calibration": self.calibration.to_json() if self.calibration else None,
            "none_output": self.none_output,
        }
        write_json(folder / DESCRIPTION_FILE, description)
        weights = safetensors.numpy.save(named_weights(self.network))
        write_bytes(folder / WEIGHTS_FILE, weights)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Loads a saved Classifier, or that of a run; no code in the files is executed.

        Raises UserError for another folder and for damaged files.
        """
        file = description_file(Path(folder))
        path = file.with_name(WEIGHTS_FILE)
        description: Description = read_json(file, Description)
        labels, provenance = description["labels"], description["provenance"]
        fitted = description.get("calibration")
        try:
            _check_labels(labels)
            architecture = Architecture.from_json(description["architecture"])
            preprocessing = Preprocessing.from_json(description["preprocessing"])
            calibration = Calibration.from_json(fitted) if fitted else None
            network = build_network(
                architecture,
                classes=len(labels) + description.get("none_output", False),
                image_size=preprocessing.size,
                auxiliary=len(description["heads"]) > 1,
            )
        except UserError as error:
            raise UserError(f"{file} is damaged: {error}") from error
        most = 8 * network.count_params() + MAX_HEADER_BYTES  # in float64
        try:
            assign_weights(network, read_safetensors(path, most))
        except UserError as error:
            raise UserError(f"{path} cannot be loaded: {error}") from error
        return cls(
            network, architecture, preprocessing, labels, provenance, calibration
        )

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
        from googlenet_keras.weights import pretrained

        folder = pretrained.pretrained_folder(source, variant=variant, labels=labels)
        classifier = cls.load(folder)
        found = classifier.architecture.name
        if variant not in (None, found):
            raise UserError(
                f"weights come with their network; {source} has {found!r}, and the "
                f"variant {variant!r} was asked for. Leave the variant out, or take "
                "other weights."
            )
        if labels is None:
            return classifier
        names = pretrained.read_labels(labels)
        pretrained.check_label_count(names, len(classifier.labels))
        return replace(classifier, labels=names)


def _check_labels(labels: Sequence[str]) -> None:
    """Raises UserError unless the labels are different texts with characters."""
    convert(labels, tuple[Label, ...], "labels")
    if len(set(labels)) < len(labels):
        ((label, count),) = Counter(labels).most_common(1)
        raise UserError(f"labels must differ; {label!r:.200} is there {count} times.")


def description_file(folder: Path) -> Path:
    """The classifier.json of a saved Classifier or of a run. Raises UserError."""
    if (folder / DESCRIPTION_FILE).is_file():
        return folder / DESCRIPTION_FILE
    file = RunFolder.open(folder).classifier / DESCRIPTION_FILE
    if not file.is_file():
        raise UserError(
            f"{file.parent}, which holds a run's network, has no {file.name}; train "
            "again, or name a folder that has one."
        )
    return file
