"""What --weights may name, as the folder of a Classifier."""

from __future__ import annotations

import hashlib
from pathlib import Path

from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.errors import UserError, unknown_choice
from googlenet_keras.files import cache_folder, expand_user
from googlenet_keras.weights.catalogue import SOURCES, Published, published
from googlenet_keras.weights.download import fetched
from googlenet_keras.weights.importing import import_weights, save_whole

MAPS = 1  # raised with every correction of a map, so that none is used again


def classifier_folder(name: str, variant: str) -> Path:
    """The folder with the Classifier that `name` stands for.

    name: a run or a saved Classifier; torchvision, onnx-zoo, caffe or slim, which are
    downloaded; or a file of theirs. What is imported becomes `variant` where it can,
    and is kept in the user's cache folder. Raises UserError.
    """
    path = expand_user(name)
    if path.is_dir():
        return path
    source = name if name in SOURCES else _source_of(path)
    file = fetched(published(source)) if name in SOURCES else path
    variant = _possible(published(source), variant)
    kept = f"{_digest(file)}-{variant}-{MAPS}"
    folder = cache_folder() / "classifiers" / kept
    if not folder.is_dir():
        save_whole(import_weights(source, file, variant=variant), folder)
    return folder


def _possible(source: Published, variant: str) -> str:
    """`variant`, or the source's own for the default one. Raises UserError."""
    if variant in source.variants:
        return variant
    if variant != BATCH_NORM.name:
        raise unknown_choice(
            f"what {source.name} weights become", variant, source.variants
        )
    return source.variants[0]


def _source_of(path: Path) -> str:
    for name, source in SOURCES.items():
        if path.name.endswith(source.suffixes):
            return name
    raise unknown_choice("weights that are no folder or file", str(path), SOURCES)


def _digest(file: Path) -> str:
    """Another one for another file; of a checkpoint, the index is one."""
    index = file.with_name(f"{file.name}.index")
    try:
        with (index if index.is_file() else file).open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error
