"""Predictor: a trained network that predicts the labels of images, in any runtime."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import tensorflow as tf

from googlenet_keras.calibration import COVERAGES, Calibration
from googlenet_keras.console import track
from googlenet_keras.data.decode import on_black
from googlenet_keras.data.folder_source import files_below
from googlenet_keras.data.image_files import (
    BROKEN,
    UNREADABLE,
    ImageFileError,
    read_image_file,
)
from googlenet_keras.data.pipeline import EVALUATION_BATCH_SIZE
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError

if TYPE_CHECKING:
    import PIL.Image

FIRST_BATCH_SIZE = 8  # of a stream, whose first answer is waited for
DECODING_THREADS = 2  # one decodes while the other is in Python, half of the time each
REFUSAL = "none of these"
MAX_ANSWER_LABELS = 5  # the names that an answer has
EMPTY_FOLDER = "a folder without files"  # as the problem of one to predict

Image: TypeAlias = Union[str, Path, np.ndarray, "PIL.Image.Image"]
"""A file, a folder of files, or RGB pixels: [height, width, 3], or several of them as
[n, height, width, 3], uint8 or float in 0..255."""

_Source: TypeAlias = tuple[Path | np.ndarray, bool]
"""A file or pixels, and whether it may be no image, as a folder's files may."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """An image's likeliest labels with their probabilities, likeliest first.

    labels_90, labels_95: the labels of which one is right for 90 or 95 % of images like
    those of validation, likeliest first; empty if the network is not calibrated.
    """

    path: Path | None  # the image's file; None for pixels
    top: tuple[tuple[str, float], ...]  # empty for a file that cannot be read
    problem: str | None = None  # why it cannot
    labels_90: tuple[str, ...] = ()
    labels_95: tuple[str, ...] = ()
    is_refused: bool = False  # as of none of the classes

    @property
    def answer(self) -> str:
        """The labels of `labels_90` as a text: "skirt", or "skirt or dress".

        "none of these" if the image is refused.
        """
        if self.is_refused:
            return REFUSAL
        more = len(self.labels_90) - MAX_ANSWER_LABELS
        rest = (f"{more} more",) if more > 0 else ()
        return " or ".join(self.labels_90[:MAX_ANSWER_LABELS] + rest)


class Predictor(ABC):
    """A trained network with its labels and preprocessing, in any runtime."""

    labels: tuple[str, ...]  # class names in the order of the outputs
    preprocessing: Preprocessing
    calibration: Calibration | None  # None: not calibrated, as imported weights are

    @property
    def heads(self) -> tuple[str, ...]:
        """The names of the outputs: main, then the auxiliary heads, if any."""
        return ("main",)

    @abstractmethod
    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """The main head's softmax, [batch, classes], of preprocessed images.

        A row sums to 1, less the probability of none of the classes if the network was
        trained with pictures of none.
        """

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
        _check_top(top)
        sources = list(_sources(images, is_strict=True))
        if not sources:
            raise UserError("predict needs at least one image file or folder.")
        found = track(self._predictions(sources, top), "predicting", len(sources))
        return list(found)

    def stream(
        self, images: Image | Iterable[Image], top: int = 5
    ) -> Iterator[Prediction]:
        """Predicts image after image, of any number, in memory for one batch.

        images: as for `predict`; a generator is read as its images are needed. What is
        missing or not an image is no error here: its Prediction has a problem. Raises
        UserError for `top` below 1 and for pixels that are not an image.
        """
        _check_top(top)
        sources = _sources(images, is_strict=False)
        first = islice(sources, FIRST_BATCH_SIZE)
        return chain(self._predictions(first, top), self._predictions(sources, top))

    def _predictions(
        self, sources: Iterable[_Source], top: int
    ) -> Iterator[Prediction]:
        sources = iter(sources)
        with ThreadPoolExecutor(DECODING_THREADS) as pool:
            while batch := list(islice(sources, EVALUATION_BATCH_SIZE)):
                loaded = list(pool.map(self._load, *zip(*batch, strict=True)))
                yield from self._predict_batch(batch, loaded, top)

    def _predict_batch(
        self,
        batch: Sequence[_Source],
        loaded: Sequence[np.ndarray | ImageFileError],
        top: int,
    ) -> Iterator[Prediction]:
        pixels = [image for image in loaded if isinstance(image, np.ndarray)]
        rows = iter(self.probabilities(np.stack(pixels)) if pixels else ())
        for (source, _), image in zip(batch, loaded, strict=True):
            path = source if isinstance(source, Path) else None
            if isinstance(image, ImageFileError):
                yield Prediction(path, (), image.problem)
            else:
                yield self._prediction(path, next(rows), top)

    def _prediction(self, path: Path | None, row: np.ndarray, top: int) -> Prediction:
        """The prediction of the probabilities `row`, [classes]."""
        order = np.argsort(-row, kind="stable")
        labels = [self.labels[i] for i in order]
        likeliest = zip(labels[:top], row[order].tolist(), strict=False)
        prediction = Prediction(path, tuple(likeliest))
        if not self.calibration:
            return prediction
        sizes = (int(self.calibration.set_size(row[None], c)[0]) for c in COVERAGES)
        labels_90, labels_95 = (tuple(labels[:size]) for size in sizes)
        return replace(
            prediction,
            labels_90=labels_90,
            labels_95=labels_95,
            is_refused=bool(self.calibration.refuses(row[None])[0]),
        )

    def _load(
        self, source: Path | np.ndarray, may_fail: bool
    ) -> np.ndarray | ImageFileError:
        if not isinstance(source, Path):
            return self.preprocessing(source).numpy()
        try:
            return load_image(self.preprocessing, source)
        except ImageFileError as error:
            if may_fail:
                return error
            raise


predict = Predictor.predict  # predict(classifier, images) reads well, too


def load_image(preprocessing: Preprocessing, path: Path) -> np.ndarray:
    """Reads and preprocesses an image file. Raises ImageFileError for others."""
    try:
        return preprocessing.read(read_image_file(path)).numpy()
    except tf.errors.OpError as error:
        raise ImageFileError(path, BROKEN) from error
    except OSError as error:
        if os.path.isdir(path):
            raise ImageFileError(path, EMPTY_FOLDER) from error
        raise ImageFileError(path, error.strerror or UNREADABLE) from error


def image_files(path: Path) -> list[Path]:
    """The files below a folder; a path that is no folder or has no files is itself."""
    # unlike Path.is_dir it raises nothing, such as for a name that is too long
    return (files_below(path) if os.path.isdir(path) else []) or [path]


def _check_top(top: int) -> None:
    if top < 1:
        raise UserError(f"top must be at least 1; received {top}.")


def _sources(images: Image | Iterable[Image], is_strict: bool) -> Iterator[_Source]:
    """The files and pixels. is_strict: raises UserError for a path without files."""
    if isinstance(images, str | Path):
        path = Path(images)
        # Path takes "" for the current folder
        if images == "" or (is_strict and not path.exists()):
            raise UserError(f"no such image or folder: {path}.")
        files = image_files(path)
        is_folder = os.path.isdir(path)
        if is_strict and is_folder and files == [path]:
            raise UserError(f"a folder to predict needs images; {path} has no files.")
        yield from ((file, is_folder or not is_strict) for file in files)
    elif hasattr(images, "__array__") or not isinstance(images, Iterable):
        yield from ((image, False) for image in _pixels(images))
    else:
        for image in images:
            yield from _sources(image, is_strict)


def _pixels(images: Any) -> list[np.ndarray]:
    """The images, each [height, width, 3], in an array or a PIL image."""
    from PIL import Image

    if isinstance(images, Image.Image):
        images = _rgb(images)
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


def _rgb(image: PIL.Image.Image) -> np.ndarray:
    """The pixels of a PIL image, decoded as those of its file are."""
    from PIL import ImageOps

    with suppress(Exception):  # Pillow raises anything for a damaged EXIF block
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 256).convert("L")
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB"))
    pixels = np.asarray(image.convert("RGBA"))
    return on_black(pixels[..., :3], pixels[..., 3:]).numpy()
