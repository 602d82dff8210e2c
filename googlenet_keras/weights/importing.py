"""Imports a published file of weights as a Classifier."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import NotRequired, TypedDict

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.files import atomic_folder
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import assign_weights
from googlenet_keras.weights import from_caffe, from_onnx, from_slim, from_torchvision
from googlenet_keras.weights.catalog import (
    MAX_FILE_BYTES,
    PublishedWeights,
    get_published,
)
from googlenet_keras.weights.download import download, is_published
from googlenet_keras.weights.name_map import (
    Tensors,
    WeightFile,
    WeightSource,
    map_weights,
)

IMAGENET_IMAGE_SIZE, IMAGENET_CROP_FRACTION = (
    224,
    0.875,
)  # 224 of 256 pixels, as every source's claims
FLOOR_PADDING_DIFFERENCE = (
    "Pools of stride 2 leave out what no whole window covers, as Caffe2's conversion "
    "does: 55, 27, 13 and 6 pixels in place of 56, 28, 14 and 7."
)
Labels = str | Path | Sequence[str]
"""ImageNet's as "names" or "wordnet", a file with one on each line, or the labels."""

log = logging.getLogger(__name__)


class ImportProvenance(TypedDict):
    """The provenance of an imported Classifier."""

    weights_from: str
    file: str
    licence: str
    claimed_top1: float
    claimed_top5: float
    claimed_by: str
    trained_on: NotRequired[str]


@dataclass(frozen=True)
class _SourceFormat:
    """How a source's files are read, and how their tensors map to our weights."""

    read: Callable[[Path], WeightFile]
    sources: Callable[[Architecture, tuple[str, ...]], dict[str, WeightSource]]

    def heads(self, arch: Architecture, tensors: Tensors) -> tuple[str, ...]:
        """The auxiliary heads whose tensors are in the file."""
        names = (head.name for head in arch.heads)
        return tuple(
            h for h in names if self._head_tensors(arch, (h,)) & tensors.keys()
        )

    def without_heads(self, arch: Architecture, tensors: Tensors) -> Tensors:
        """`tensors` without those of auxiliary heads."""
        names = self._head_tensors(arch, tuple(head.name for head in arch.heads))
        return {name: value for name, value in tensors.items() if name not in names}

    def _head_tensors(self, arch: Architecture, heads: tuple[str, ...]) -> set[str]:
        trunk, both = self.sources(arch, ()), self.sources(arch, heads)
        return {both[ours].name for ours in both.keys() - trunk.keys()}


_SOURCE_FORMATS = {
    "torchvision": _SourceFormat(
        from_torchvision.read, from_torchvision.weight_sources
    ),
    "caffe": _SourceFormat(from_caffe.read, from_caffe.weight_sources),
    "slim": _SourceFormat(from_slim.read, from_slim.weight_sources),
    "onnx-zoo": _SourceFormat(from_onnx.read, from_caffe.weight_sources),
}


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
    path = _check_file(Path(file), published) if file else download(published)
    content = _SOURCE_FORMATS[source].read(path)
    if content.padding == "floor":
        differences = (*arch.differences, FLOOR_PADDING_DIFFERENCE)
        arch = replace(arch, padding="floor", differences=differences)
    tensors, heads = _select_heads(published, path, arch, content.tensors)
    weights = map_weights(tensors, _SOURCE_FORMATS[source].sources(arch, heads))
    check_label_count(names, classes=len(weights["main/bias"]))
    network = build_network(
        arch, classes=len(names), image_size=IMAGENET_IMAGE_SIZE, auxiliary=bool(heads)
    )
    assign_weights(network, weights)
    log.info("%d tensors of %s became %d weights", len(tensors), path, len(weights))
    provenance = _provenance(published, path)
    if labels in (None, "names", "wordnet"):
        provenance["trained_on"] = "ImageNet"
    preprocessing = Preprocessing(
        IMAGENET_IMAGE_SIZE, IMAGENET_IMAGE_SIZE, IMAGENET_CROP_FRACTION
    )
    return Classifier(network, arch, preprocessing, names, {**provenance})


def save_to_new_folder(classifier: Classifier, folder: Path) -> None:
    """Saves `classifier` in a new folder, which appears whole or not at all.

    The folder of a process that was faster stays. Raises DiskError.
    """
    with atomic_folder(folder) as temporary:
        classifier.save(temporary)


def read_labels(labels: Labels | None) -> tuple[str, ...]:
    """Reads the labels from a file or a sequence; None for ImageNet's names.

    None: ImageNet's names. Raises UserError.
    """
    if labels is None or labels == "names":
        return imagenet_labels()
    if labels == "wordnet":
        return wordnet_ids()
    if not isinstance(labels, str | Path):
        return tuple(labels)
    try:
        return tuple(Path(labels).read_text("utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{labels} holds no labels: {error}.") from error


def check_label_count(labels: tuple[str, ...], classes: int) -> None:
    """Raises UserError unless there is a label for every class."""
    if len(labels) != classes:
        raise UserError(
            f"every class needs a label; there are {classes} classes and {len(labels)} "
            "labels. Give a file with a label on each line: --labels FILE"
        )


def imagenet_labels() -> tuple[str, ...]:
    """The names of ImageNet's 1,000 classes, in the order of their WordNet IDs."""
    text = files("googlenet_keras.weights").joinpath("imagenet_labels.txt")
    return tuple(text.read_text("utf-8").splitlines())


def wordnet_ids() -> tuple[str, ...]:
    """The WordNet IDs (n01440764) of ImageNet's 1,000 classes, as TFDS lists them.

    They are in the same order.
    """
    folder = files("tensorflow_datasets.datasets.imagenet2012")
    return tuple(folder.joinpath("labels.txt").read_text("utf-8").splitlines())


def _check_file(file: Path, published: PublishedWeights) -> Path:
    """Returns `file` if its name and size fit the source. Raises UserError."""
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
    format_ = _SOURCE_FORMATS[published.name]
    heads = format_.heads(arch, tensors)
    if not heads:
        log.info("the file has no auxiliary heads; training starts new ones")
        return tensors, ()
    if published.has_trained_heads:
        log.info("the auxiliary heads %s are imported", ", ".join(heads))
    elif path.is_file() and is_published(path, published):
        log.info("the file's auxiliary heads were never trained; they are left out")
        return format_.without_heads(arch, tensors), ()
    else:
        log.info(
            "the auxiliary heads %s are imported; those that %s published were never "
            "trained",
            ", ".join(heads),
            published.name,
        )
    return tensors, heads


def _provenance(published: PublishedWeights, path: Path) -> ImportProvenance:
    return {
        "weights_from": published.name,
        "file": path.name,
        "licence": published.license,
        "claimed_top1": published.top1,
        "claimed_top5": published.top5,
        "claimed_by": published.claimed_by,
    }
