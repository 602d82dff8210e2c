"""Reads and writes the labels, preprocessing and architecture in exported files."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Self

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.artifacts.runtimes import (
    ONNX_SUFFIX,
    TFLITE_SUFFIX,
    read_onnx_metadata,
)
from googlenet_keras.classifier import DESCRIPTION_FILE, Classifier
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError

if TYPE_CHECKING:
    import onnx

LABELS_FILE = "labels.txt"
ASSETS_FOLDER = "assets.extra"  # of a SavedModel; TensorFlow leaves it alone


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
            if label.splitlines() != [label] or not _is_utf8(label):
                raise UserError(
                    f"a label must be one line of UTF-8 text; received {label!r}. "
                    "Rename its class folder and train again."
                )

    @classmethod
    def of(cls, classifier: Classifier) -> Self:
        """The contents of every file that `classifier` is exported to."""
        return cls(classifier.labels, classifier.preprocessing, classifier.architecture)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the contents of an exported file without running it.

        Raises UserError if there is no such file or they cannot be read.
        """
        if not path.exists():
            raise UserError(f"no such exported file: {path}.")
        try:
            return cls._from_texts(_read_texts(path))
        except UserError:
            raise
        except Exception as error:  # a damaged archive raises anything
            raise UserError(
                "an exported file has its labels and its preprocessing inside; in "
                f"{path} they cannot be read ({error}). Export it with export.py."
            ) from error

    @classmethod
    def _from_texts(cls, texts: Mapping[str, str]) -> Self:
        description = json.loads(texts[DESCRIPTION_FILE])
        return cls(
            tuple(texts[LABELS_FILE].splitlines()),
            Preprocessing.from_json(description["preprocessing"]),
            Architecture.from_json(description["architecture"]),
        )

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

    def add_to_onnx(self, model: "onnx.ModelProto") -> None:
        """Writes the contents into the model's metadata_props."""
        import onnx

        onnx.helper.set_model_props(model, self.to_texts())

    def add_to_saved_model(self, folder: Path) -> None:
        """Writes the contents into the folder of a SavedModel."""
        assets = folder / ASSETS_FOLDER
        assets.mkdir()
        for name, text in self.to_texts().items():
            (assets / name).write_text(text, "utf-8")


def _is_utf8(label: str) -> bool:
    try:
        label.encode()
    except UnicodeEncodeError:  # half a surrogate pair: a file name that is not UTF-8
        return False
    return True


def _read_texts(path: Path) -> Mapping[str, str]:
    names = (LABELS_FILE, DESCRIPTION_FILE)
    if path.suffix == ONNX_SUFFIX:
        return read_onnx_metadata(path)
    if path.suffix != TFLITE_SUFFIX:
        return {n: (path / ASSETS_FOLDER / n).read_text("utf-8") for n in names}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in names}
