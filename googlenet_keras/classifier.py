"""Classifier: a trained network with its labels, preprocessing and provenance."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, Union

import numpy as np
import safetensors.numpy
import tensorflow as tf
from safetensors import SafetensorError
from scipy.special import log_softmax, softmax

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.console import track
from googlenet_keras.data.folder_source import files_below
from googlenet_keras.data.pipeline import EVALUATION_BATCH_SIZE
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_bytes, write_json
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import assign_weights, named_weights
from googlenet_keras.run_folder import RunFolder

if TYPE_CHECKING:
    import keras
    import PIL.Image

    from googlenet_keras.weights.pretrained import Labels, Source

DESCRIPTION_FILE = "classifier.json"
WEIGHTS_FILE = "weights.safetensors"

Image: TypeAlias = Union[str, Path, np.ndarray, "PIL.Image.Image"]
"""A file, a folder of files, or RGB pixels: [height, width, 3], or several of them as
[n, height, width, 3], uint8 or float in 0..255."""

_Source: TypeAlias = tuple[Path | np.ndarray, bool]
"""A file or pixels, and whether it was found in a folder and may be no image."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """An image's likeliest labels with their probabilities, likeliest first."""

    path: Path | None  # the image's file; None for pixels
    top: tuple[tuple[str, float], ...]  # empty for a folder's file that is no image


class Predictor(ABC):
    """A trained network with its labels and preprocessing, in any runtime."""

    labels: tuple[str, ...]  # class names in the order of the outputs
    preprocessing: Preprocessing

    @property
    def heads(self) -> tuple[str, ...]:
        """The names of the outputs: main, then the auxiliary heads, if any."""
        return ("main",)

    @abstractmethod
    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """The main head's softmax, [batch, classes], of preprocessed images."""

    @abstractmethod
    def log_probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Each head's log-softmax, [batch, classes], of preprocessed images."""

    def predict(
        self, images: Image | Iterable[Image], top: int = 5
    ) -> list[Prediction]:
        """Predicts the `top` likeliest labels of each image.

        images: one or several files, folders of files, arrays of pixels or PIL images.
        Raises UserError for `top` below 1, a folder without files, and what is not an
        image, except for files in folders.
        """
        if top < 1:
            raise UserError(f"top must be at least 1; received {top}.")
        sources = list(_sources(images))
        if not sources:
            raise UserError("predict needs at least one image file or folder.")
        predictions: list[Prediction] = []
        for start in track(range(0, len(sources), EVALUATION_BATCH_SIZE), "predicting"):
            batch = sources[start : start + EVALUATION_BATCH_SIZE]
            loaded = [self._load(*source) for source in batch]
            pixels = [image for image in loaded if image is not None]
            rows = iter(self.probabilities(np.stack(pixels)) if pixels else ())
            for (source, _), image in zip(batch, loaded, strict=True):
                row = np.array([]) if image is None else next(rows)
                order = np.argsort(-row, kind="stable")[:top]
                labels = tuple((self.labels[i], float(row[i])) for i in order)
                path = source if isinstance(source, Path) else None
                predictions.append(Prediction(path, labels))
        return predictions

    def _load(self, source: Path | np.ndarray, in_folder: bool) -> np.ndarray | None:
        if not isinstance(source, Path):
            return self.preprocessing(source).numpy()
        try:
            return load_image(self.preprocessing, source)
        except UserError:
            if in_folder:
                return None
            raise


predict = Predictor.predict  # predict(classifier, images) reads well, too


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
        logits = self.logits(images).items()
        return {head: log_softmax(x.astype(np.float64), axis=1) for head, x in logits}

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
        file = description_file(Path(folder))
        description, path = read_json(file), file.with_name(WEIGHTS_FILE)
        try:
            architecture = Architecture.from_json(description["architecture"])
            preprocessing = Preprocessing.from_json(description["preprocessing"])
            labels = tuple(description["labels"])
            network = build_network(
                architecture,
                classes=len(labels),
                image_size=preprocessing.size,
                auxiliary=len(description["heads"]) > 1,
            )
            provenance = description["provenance"]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{file} is damaged: {error}") from error
        try:
            weights = safetensors.numpy.load_file(path)
        except (OSError, SafetensorError, ValueError) as error:
            raise UserError(f"{path} holds no weights: {error}.") from error
        assign_weights(network, weights)
        return cls(network, architecture, preprocessing, labels, provenance)

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


def description_file(folder: Path) -> Path:
    """The classifier.json of a saved Classifier or of a run. Raises UserError."""
    if (folder / DESCRIPTION_FILE).is_file():
        return folder / DESCRIPTION_FILE
    file = RunFolder.open(folder).classifier / DESCRIPTION_FILE
    if not file.is_file():
        raise UserError(
            f"{file.parent}, which keeps a run's best epoch, has no {file.name}; train "
            "again, or name a folder that has one."
        )
    return file


def load_image(preprocessing: Preprocessing, path: Path) -> np.ndarray:
    """Reads and preprocesses an image file. Raises UserError if it is not an image."""
    try:
        return preprocessing.read(tf.io.read_file(str(path))).numpy()
    except (tf.errors.OpError, UnicodeError) as error:
        raise UserError(
            f"an image must be a whole JPEG, PNG, GIF, BMP or WebP file; {path} is not."
        ) from error


def _sources(images: Image | Iterable[Image]) -> Iterator[_Source]:
    if isinstance(images, str | Path):
        path = Path(images)
        if not path.exists():
            raise UserError(f"no such image or folder: {path}.")
        files = files_below(path) if path.is_dir() else [path]
        if not files:
            raise UserError(f"a folder to predict needs images; {path} has no files.")
        yield from ((file, path.is_dir()) for file in files)
    elif hasattr(images, "__array__") or not isinstance(images, Iterable):
        yield from ((image, False) for image in _pixels(images))
    else:
        for image in images:
            yield from _sources(image)


def _pixels(images: Any) -> list[np.ndarray]:
    """The images, each [height, width, 3], in an array or a PIL image."""
    from PIL import Image, ImageOps

    if isinstance(images, Image.Image):
        images = ImageOps.exif_transpose(images).convert("RGB")
    array = np.asarray(images)
    if array.ndim not in (3, 4) or array.shape[-1] != 3 or 0 in array.shape[-3:]:
        raise UserError(
            "an array of images must be [height, width, 3] or [n, height, width, 3]; "
            f"received {list(array.shape)}."
        )
    if array.dtype.kind not in "uif" or not ((array >= 0) & (array <= 255)).all():
        raise UserError(
            f"pixels must be RGB values in 0..255; received others ({array.dtype})."
        )
    if array.dtype.kind == "f" and array.size and array.max() <= 1:
        log.warning("all pixels are in 0..1, which is black; they must be in 0..255.")
    return list(array) if array.ndim == 4 else [array]
