"""What --weights may name, as the folder of a Classifier."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from googlenet_keras import records
from googlenet_keras.classifier import DESCRIPTION
from googlenet_keras.data.checks import cache_folder
from googlenet_keras.errors import UserError, unknown
from googlenet_keras.weights.catalogue import SOURCES, published
from googlenet_keras.weights.download import fetched
from googlenet_keras.weights.importing import import_weights


def classifier_folder(name: str, variant: str) -> Path:
    """The folder with the Classifier that `name` stands for.

    name: a run or a saved Classifier; torchvision, onnx-zoo, caffe or slim, which are
    downloaded; or a file of theirs. What is imported becomes `variant` where it can,
    and is kept in the user's cache folder. Raises UserError.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        inside = path / records.CLASSIFIER
        return inside if (inside / DESCRIPTION).is_file() else path
    source = name if name in SOURCES else _source_of(path)
    file = fetched(published(source)) if name in SOURCES else path
    variants = published(source).variants
    variant = variant if variant in variants else variants[0]
    folder = cache_folder() / "classifiers" / f"{_digest(file)}-{variant}"
    if not folder.is_dir():
        _import(source, file, variant, folder)
    return folder


def _source_of(path: Path) -> str:
    for name, source in SOURCES.items():
        if path.name.endswith((*source.suffixes, ".ckpt.index")):
            return name
    raise unknown("weights that are no folder or file", str(path), SOURCES)


def _digest(file: Path) -> str:
    """Another one for another file; of a checkpoint, the index is one."""
    index = file.with_name(f"{file.name}.index")
    try:
        with (index if index.is_file() else file).open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error


def _import(source: str, file: Path, variant: str, folder: Path) -> None:
    unfinished = folder.with_name(f"{folder.name}{records.TEMPORARY}")
    shutil.rmtree(unfinished, ignore_errors=True)
    import_weights(source, file, variant=variant).save(unfinished)
    unfinished.rename(folder)
