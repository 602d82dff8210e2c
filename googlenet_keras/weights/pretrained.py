"""Loads pretrained classifiers; published weights are imported once and cached."""

import hashlib
import logging
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.artifacts.runtimes import ONNX_SUFFIX, is_artifact
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError, unknown_choice_error
from googlenet_keras.files import (
    atomic_folder,
    cache_folder,
    check_readable,
    expand_user,
)
from googlenet_keras.installation import require
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import assign_weights
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.weights.catalog import (
    PUBLISHED_WEIGHTS,
    TORCHVISION_WEIGHTS,
    PublishedWeights,
    file_sha256,
    get_published,
)
from googlenet_keras.weights.from_torchvision import without_transform_input
from googlenet_keras.weights.weight_file import Tensors, map_weights

IMPORT_VERSION = 3  # raised with every correction of a map: the cache is then stale
# 224 of 256 pixels, as every source's claims
IMAGENET_PREPROCESSING = Preprocessing(224, 224, crop_fraction=0.875)
MAX_LABELS_BYTES = 2**22  # tens of thousands of labels
FLOOR_PADDING_DIFFERENCE = (
    "Pools of stride 2 leave out what no whole window covers, as Caffe2's conversion "
    "does: 55, 27, 13 and 6 pixels in place of 56, 28, 14 and 7."
)
TRANSFORM_INPUT_NOTE = (
    "the network is taken to have transform_input, as the published one has; if it was "
    "trained from scratch, import it with --no-transform-input"
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
    own = published.name == name
    with _import_lock:  # between threads; another process may import the same
        file = published.download() if own else _check_file(path, published)
        folder = cache_folder() / "classifiers" / _cache_key(file, variant, labels)
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
    transform_input: bool = True,
) -> Classifier:
    """Imports a file of published weights as a Classifier; downloads it by default.

    source: torchvision, onnx-zoo, caffe or slim. variant: the network that it becomes;
    None: the source's own. labels: class names; None: ImageNet's 1,000.
    transform_input: as torchvision's network had it; it has with published weights,
    fine-tuned ones too. False: pixels are normalized by ImageNet's mean and standard
    deviation, as in training from scratch. Every tensor of the file is assigned once,
    by name. Logs what was done. Raises UserError for another network's file and for a
    damaged one.
    """
    published = get_published(source)
    names = read_labels(labels)
    arch = published.architecture(variant)
    is_torchvision = published is TORCHVISION_WEIGHTS
    if not (transform_input or is_torchvision):
        raise UserError(f"transform_input is torchvision's; {source} has none.")
    path = _check_file(Path(file), published) if file else published.download()
    if not transform_input:
        arch = without_transform_input(arch)
    elif is_torchvision and not published.matches(path):
        log.info(TRANSFORM_INPUT_NOTE)
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
    provenance = _provenance(published, path, labels)
    return Classifier(network, arch, IMAGENET_PREPROCESSING, names, provenance)


def _provenance(
    published: PublishedWeights, path: Path, labels: Labels | None
) -> dict[str, Any]:
    origin = {
        "weights_from": published.name,
        "file": path.name,
        "license": published.license,
        "claimed_top1": published.top1,
        "claimed_top5": published.top5,
        "claimed_by": published.claimed_by,
    }
    if labels is None or (isinstance(labels, str) and labels in ("names", "wordnet")):
        origin["trained_on"] = "ImageNet"
    return origin


def read_labels(labels: Labels | None) -> tuple[str, ...]:
    """The labels as a tuple; None: ImageNet's names. Raises UserError.

    Lists of ImageNet's names have two cranes and two maillots: a name that is there
    more than once gets its place, counted from 1, such as "crane (518)".
    """
    if labels is None or labels == "names":
        file = resources.files("googlenet_keras.weights") / "imagenet_labels.txt"
    elif labels == "wordnet":  # in the same order
        require("labels='wordnet'", "tfds", ["tensorflow_datasets"])
        folder = resources.files("tensorflow_datasets.datasets.imagenet2012")
        file = folder / "labels.txt"
    elif isinstance(labels, str | Path):
        file = Path(labels)
    else:
        return _number_duplicates(tuple(labels))
    try:
        if isinstance(file, Path):
            check_readable(file, MAX_LABELS_BYTES)
        return _number_duplicates(tuple(file.read_text("utf-8-sig").splitlines()))
    except (OSError, ValueError) as error:
        raise UserError(f"{labels} holds no labels: {error}.") from error


def _number_duplicates(labels: tuple[str, ...]) -> tuple[str, ...]:
    counts = Counter(labels)
    return tuple(
        f"{label} ({place})" if counts[label] > 1 else label
        for place, label in enumerate(labels, start=1)
    )


def check_label_count(labels: tuple[str, ...], classes: int) -> None:
    """Raises UserError unless there is a label for every class."""
    if len(labels) != classes:
        raise UserError(
            f"every class needs a label; there are {classes} classes and {len(labels)} "
            "labels. Give a file with a label on each line: --labels FILE"
        )


def _check_file(file: Path, published: PublishedWeights) -> Path:
    published.check_libraries()
    if published.name == "slim" and Path(f"{file}.index").is_file():
        return file  # a checkpoint's prefix
    check_readable(file, published.max_bytes)
    if not file.name.endswith(published.suffixes):
        raise UserError(
            f"{published.name} weights are in a file that ends in "
            f"{' or '.join(published.suffixes)}; received {file.name}."
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
        log.info("the file has no auxiliary heads; training initializes them")
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
