"""Loads pretrained classifiers: published weights, runs, saved classifiers, files."""

import hashlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from googlenet_keras.artifacts.runtimes import ONNX_SUFFIX, is_artifact
from googlenet_keras.classifier import Classifier
from googlenet_keras.errors import UserError, unknown_choice_error
from googlenet_keras.files import atomic_folder, cache_folder, expand_user
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.weights.catalog import PUBLISHED_WEIGHTS, file_sha256
from googlenet_keras.weights.importing import (
    Labels,
    check_label_count,
    import_weights,
    read_labels,
)

IMPORT_VERSION = 2  # raised with every correction of a map: the cache is then stale

_import_lock = threading.Lock()


class HasFolder(Protocol):
    """An object with a run folder, such as a Run."""

    @property
    def folder(self) -> RunFolder | Path: ...


Source = str | Path | HasFolder
"""torchvision, caffe, onnx-zoo or slim; a run or its folder; a saved Classifier's
folder; a file of weights."""


def load_pretrained(
    source: Source, *, variant: str | None = None, labels: Labels | None = None
) -> Classifier:
    """Loads the Classifier that `source` stands for.

    variant: the network that published weights become; None: their own. labels: other
    names for the classes; None: those that it has, or ImageNet's. What is downloaded
    and imported is cached. Raises UserError.
    """
    folder = pretrained_folder(source, variant=variant, labels=labels)
    classifier = Classifier.load(folder)
    found = classifier.architecture.name
    if variant not in (None, found):
        raise UserError(
            f"weights come with their network; {source} has {found!r}, and the variant "
            f"{variant!r} was asked for. Leave the variant out, or take other weights."
        )
    if labels is None:
        return classifier
    names = read_labels(labels)
    check_label_count(names, len(classifier.labels))
    return replace(classifier, labels=names)


def pretrained_folder(
    source: Source,
    *,
    variant: str | None = None,
    preferred_variant: str | None = None,
    labels: Labels | None = None,
) -> Path:
    """The folder of the Classifier that `source` stands for; see `load_pretrained`.

    preferred_variant: what published weights become if they can. Raises UserError.
    """
    name = str(source if isinstance(source, str | Path) else source.folder)
    path = expand_user(name)
    _refuse_exported(path)
    if path.is_dir():
        return path
    published = PUBLISHED_WEIGHTS.get(name) or next(
        (p for p in PUBLISHED_WEIGHTS.values() if path.name.endswith(p.suffixes)), None
    )
    if published is None:
        what = "weights that are neither a folder nor a file of them"
        raise unknown_choice_error(what, name, PUBLISHED_WEIGHTS)
    if not variant and preferred_variant in published.variants:
        variant = preferred_variant
    variant = published.architecture(variant).name
    file = published.download() if published.name == name else path
    folder = cache_folder() / "classifiers" / _cache_key(file, variant, labels)
    with _import_lock:  # between threads; another process may import the same
        if not folder.is_dir():
            classifier = import_weights(
                published.name, file, variant=variant, labels=labels
            )
            with atomic_folder(folder) as temporary:
                classifier.save(temporary)
    return folder


def _refuse_exported(path: Path) -> None:
    run = RunFolder(path.resolve().parent.parent)
    inside = run.export == path.resolve().parent and run.is_started
    if is_artifact(path) and (inside or path.suffix != ONNX_SUFFIX):
        origin = run if inside else "the run that it was exported from"
        raise UserError(
            f"an exported file has no weights to load into a network: {path}. Give "
            f"{origin}."
        )


def _cache_key(file: Path, variant: str, labels: Labels | None) -> str:
    """A cache folder's name, unique to the weights, the variant and the labels."""
    index = file.with_name(f"{file.name}.index")  # of a checkpoint; it has its digest
    try:
        digest = file_sha256(index if index.is_file() else file)[:16]
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error
    parts = [digest, variant, str(IMPORT_VERSION)]
    if labels is not None:
        names = repr(read_labels(labels)).encode()
        parts.append(hashlib.sha256(names).hexdigest()[:16])
    return "-".join(parts)
