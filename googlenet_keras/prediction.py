"""Predictor: the base class of Classifier and Artifact, which predicts labels."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import tensorflow as tf

from googlenet_keras.console import track
from googlenet_keras.data.folder_source import files_below
from googlenet_keras.data.pipeline import EVALUATION_BATCH_SIZE
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError

if TYPE_CHECKING:
    import PIL.Image

Image: TypeAlias = Union[str, Path, np.ndarray, "PIL.Image.Image"]
"""A file, a folder of files, or RGB pixels: [height, width, 3], or several of them as
[n, height, width, 3], uint8 or float in 0..255."""

_Source: TypeAlias = tuple[Path | np.ndarray, bool]
"""A file or pixels, and whether it was found in a folder and may be no image."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """An image's likeliest labels with their probabilities, likeliest first.

    path: the image's file, None for pixels. top is empty for a file in a folder that is
    not an image.
    """

    path: Path | None
    top: tuple[tuple[str, float], ...]


class Predictor(ABC):
    """A trained network with its labels and preprocessing, in any runtime.

    labels: class names in the order of the outputs.
    """

    labels: tuple[str, ...]
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
        Raises UserError for a path that does not exist, a folder without files, a file
        that is not an image unless it was found in a folder, values that are not
        pixels, and `top` below 1.
        """
        if top < 1:
            raise UserError(f"top must be at least 1; received {top}.")
        sources = list(_sources(images))
        if not sources:
            raise UserError("predict needs at least one image file or folder.")
        batches = range(0, len(sources), EVALUATION_BATCH_SIZE)
        return [
            prediction
            for start in track(batches, "predicting")
            for prediction in self._predict_batch(
                sources[start : start + EVALUATION_BATCH_SIZE], top
            )
        ]

    def _predict_batch(
        self, sources: Sequence[_Source], top: int
    ) -> Iterator[Prediction]:
        loaded = [self._load(*source) for source in sources]
        images = [image for image in loaded if image is not None]
        rows = iter(self.probabilities(np.stack(images)) if images else ())
        for (source, _), image in zip(sources, loaded, strict=True):
            labels = () if image is None else self._likeliest(next(rows), top)
            yield Prediction(source if isinstance(source, Path) else None, labels)

    def _load(self, source: Path | np.ndarray, in_folder: bool) -> np.ndarray | None:
        if not isinstance(source, Path):
            return self.preprocessing(source).numpy()
        try:
            return load_image(self.preprocessing, source)
        except UserError:
            if in_folder:
                return None
            raise

    def _likeliest(self, row: np.ndarray, top: int) -> tuple[tuple[str, float], ...]:
        order = np.argsort(-row, kind="stable")[:top]
        return tuple((self.labels[i], float(row[i])) for i in order)


def predict(
    predictor: Predictor, images: Image | Iterable[Image], top: int = 5
) -> list[Prediction]:
    """The same as `predictor.predict(images, top)`."""
    return predictor.predict(images, top)


def load_image(preprocessing: Preprocessing, path: Path) -> np.ndarray:
    """Reads and preprocesses an image file. Raises UserError if it is not an image."""
    try:
        image: tf.Tensor = preprocessing.read(tf.io.read_file(str(path)))
    except (tf.errors.OpError, UnicodeError) as error:
        raise UserError(
            f"an image must be a whole JPEG, PNG, GIF, BMP or WebP file; {path} is not."
        ) from error
    return image.numpy()


def _sources(images: Image | Iterable[Image]) -> Iterator[_Source]:
    if isinstance(images, str | Path):
        yield from _files(Path(images))
    elif hasattr(images, "__array__") or not isinstance(images, Iterable):
        yield from ((image, False) for image in _pixels(images))
    else:
        for image in images:
            yield from _sources(image)


def _files(path: Path) -> Iterator[_Source]:
    if not path.exists():
        raise UserError(f"no such image or folder: {path}.")
    if not path.is_dir():
        yield path, False
        return
    files = files_below(path)
    if not files:
        raise UserError(f"a folder to predict needs images; {path} has no files.")
    yield from ((file, True) for file in files)


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
            "pixels must be RGB values in 0..255; received other values "
            f"({array.dtype})."
        )
    if array.dtype.kind == "f" and array.size and array.max() <= 1:
        log.warning("all pixels are in 0..1, which is black; they must be in 0..255.")
    return list(array) if array.ndim == 4 else [array]
