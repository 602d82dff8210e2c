"""Loads pretrained classifiers; published weights are imported once and cached."""

import hashlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Protocol

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.artifacts.runtimes import ONNX_SUFFIX, is_artifact
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError, unknown_choice_error
from googlenet_keras.files import atomic_folder, cache_folder, expand_user
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import assign_weights
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.weights.catalog import (
    PUBLISHED_WEIGHTS,
    PublishedWeights,
    file_sha256,
    get_published,
)
from googlenet_keras.weights.weight_file import MAX_FILE_BYTES, Tensors, map_weights

IMPORT_VERSION = 2  # raised with every correction of a map: the cache is then stale
# 224 of 256 pixels, as every source's claims
IMAGENET_PREPROCESSING = Preprocessing(224, 224, crop_fraction=0.875)
FLOOR_PADDING_DIFFERENCE = (
    "Pools of stride 2 leave out what no whole window covers, as Caffe2's conversion "
    "does: 55, 27, 13 and 6 pixels in place of 56, 28, 14 and 7."
)
Labels = str | Path | Sequence[str]
"""ImageNet's as "names" or "wordnet", a file with one on each line, or the labels."""

log = logging.getLogger(__name__)
_import_lock = threading.Lock()


class HasFolder(Protocol):
    """An object with a run folder, such as a Run."""

    @property
    def folder(self) -> RunFolder | Path: ...


Source = str | Path | HasFolder
"""torchvision, caffe, onnx-zoo or slim; a run or its folder; a saved Classifier's
folder; a file of weights."""


def pretrained_folder(
    source: Source,
    *,
    variant: str | None = None,
    preferred_variant: str | None = None,
    labels: Labels | None = None,
) -> Path:
    """The folder of the Classifier that `source` stands for.

    variant, labels: as for Classifier.from_pretrained. preferred_variant: in place of a
    `variant`; bn gives way to the weights' own network. What is downloaded and imported
    is cached. Raises UserError.
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
    if preferred_variant in published.variants or preferred_variant != BATCH_NORM.name:
        variant = variant or preferred_variant  # others than the default were asked for
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


def import_weights(
    source: str,
    file: Path | str | None = None,
    *,
    variant: str | None = None,
    labels: Labels | None = None,
) -> Classifier:
    """Imports a file of published weights as a Classifier; downloads it by default.

    source: torchvision, onnx-zoo, caffe or slim. variant: the network that it becomes;
    None: the source's own. labels: class names; None: ImageNet's 1,000. Every tensor of
    the file is assigned once, by name. Logs what was done. Raises UserError for another
    network's file and for a damaged one.
    """
    published = get_published(source)
    names = read_labels(labels)
    arch = published.architecture(variant)
    path = _check_file(Path(file), published) if file else published.download()
    content = published.read(path)
    if content.padding == "floor":
        differences = (*arch.differences, FLOOR_PADDING_DIFFERENCE)
        arch = replace(arch, padding="floor", differences=differences)
    tensors, heads = _select_heads(published, path, arch, content.tensors)
    weights = map_weights(tensors, published.weight_sources(arch, heads))
    check_label_count(names, classes=len(weights["main/bias"]))
    network = build_network(
        arch,
        classes=len(names),
        image_size=IMAGENET_PREPROCESSING.height,
        auxiliary=bool(heads),
    )
    assign_weights(network, weights)
    log.info("%d tensors of %s became %d weights", len(tensors), path, len(weights))
    provenance = {
        "weights_from": published.name,
        "file": path.name,
        "licence": published.license,
        "claimed_top1": published.top1,
        "claimed_top5": published.top5,
        "claimed_by": published.claimed_by,
    }
    if labels is None or (isinstance(labels, str) and labels in ("names", "wordnet")):
        provenance["trained_on"] = "ImageNet"
    return Classifier(network, arch, IMAGENET_PREPROCESSING, names, provenance)


def read_labels(labels: Labels | None) -> tuple[str, ...]:
    """The labels as a tuple; None: ImageNet's names. Raises UserError."""
    if labels is None or labels == "names":
        file = resources.files("googlenet_keras.weights") / "imagenet_labels.txt"
    elif labels == "wordnet":  # in the same order
        folder = resources.files("tensorflow_datasets.datasets.imagenet2012")
        file = folder / "labels.txt"
    elif isinstance(labels, str | Path):
        file = Path(labels)
    else:
        return tuple(labels)
    try:
        return tuple(file.read_text("utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{labels} holds no labels: {error}.") from error


def check_label_count(labels: tuple[str, ...], classes: int) -> None:
    """Raises UserError unless there is a label for every class."""
    if len(labels) != classes:
        raise UserError(
            f"every class needs a label; there are {classes} classes and {len(labels)} "
            "labels. Give a file with a label on each line: --labels FILE"
        )


def _check_file(file: Path, published: PublishedWeights) -> Path:
    is_prefix = published.name == "slim" and Path(f"{file}.index").is_file()
    if not (file.is_file() or is_prefix):
        raise UserError(f"no such file: {file}.")
    if not is_prefix and not file.name.endswith(published.suffixes):
        raise UserError(
            f"{published.name} weights are in a file that ends in "
            f"{' or '.join(published.suffixes)}; received {file.name}."
        )
    if file.is_file() and file.stat().st_size > MAX_FILE_BYTES:
        raise UserError(
            f"no GoogLeNet has more than {MAX_FILE_BYTES} bytes of weights; {file} has "
            f"{file.stat().st_size}."
        )
    return file


def _select_heads(
    published: PublishedWeights, path: Path, arch: Architecture, tensors: Tensors
) -> tuple[Tensors, tuple[str, ...]]:
    """The tensors to import and the auxiliary heads that they have.

    Heads that were published untrained are left out; those of another file of the same
    format are not.
    """
    names = tuple(head.name for head in arch.heads)
    sources = published.weight_sources(arch, names)
    by_head = {
        head: {sources[ours].name for ours in sources if ours.startswith(head)}
        for head in names
    }
    heads = tuple(head for head in names if by_head[head] & tensors.keys())
    if not heads:
        log.info("the file has no auxiliary heads; training starts new ones")
        return tensors, ()
    if published.has_trained_heads:
        note = ""
    elif path.is_file() and published.matches(path):
        log.info("the file's auxiliary heads were never trained; they are left out")
        untrained = set().union(*by_head.values())
        return {n: t for n, t in tensors.items() if n not in untrained}, ()
    else:
        note = f"; those that {published.name} published were never trained"
    log.info("the auxiliary heads %s are imported%s", ", ".join(heads), note)
    return tensors, heads
