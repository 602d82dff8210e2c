"""A file of weights becomes a Classifier."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import PAPER, SLIM, TORCHVISION
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import DiskError, UserError, unknown_choice
from googlenet_keras.files import TEMPORARY_SUFFIX, disk_errors
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import assign_weights
from googlenet_keras.weights import from_caffe, from_onnx, from_slim, from_torchvision
from googlenet_keras.weights.catalogue import LARGEST, Published, published
from googlenet_keras.weights.download import fetched, is_published
from googlenet_keras.weights.name_map import Contents, Origin, Tensors, taken

SIZE, CROP = 224, 0.875  # 224 of 256 pixels, as every source claims its accuracy
Origins = Callable[[Architecture, tuple[str, ...]], dict[str, Origin]]
CLASSES = "main/bias"  # a weight that has one value for each class


@dataclass(frozen=True)
class _Route:
    """How a source's files are read and its names are ours."""

    read: Callable[[Path], Contents]
    origins: Origins


ROUTES = {
    "torchvision": _Route(from_torchvision.read, from_torchvision.origins),
    "caffe": _Route(from_caffe.read, from_caffe.origins),
    "slim": _Route(from_slim.read, from_slim.origins),
    "onnx-zoo": _Route(from_onnx.read, from_caffe.origins),
}

# What a source's weights are in true 5x5 branches; the rest of it stays, so that the
# outputs do.
WIDE = {
    "torchvision": replace(
        TORCHVISION,
        name="bn",
        wide_kernel=5,
        differences=tuple(d for d in TORCHVISION.differences if "3x3 kernels" not in d),
    ),
    "slim": replace(
        SLIM,
        name="bn",
        wide_kernel=5,
        gamma=True,
        differences=tuple(
            d for d in SLIM.differences if "3x3 kernels" not in d and "gamma" not in d
        ),
    ),
}
FLOOR = (
    "Pools of stride 2 leave out what no whole window covers, as Caffe2's conversion "
    "does: 55, 27, 13 and 6 pixels in place of 56, 28, 14 and 7."
)


def import_weights(
    source: str,
    file: Path | None = None,
    *,
    variant: str | None = None,
    labels: tuple[str, ...] | None = None,
) -> Classifier:
    """The Classifier of a published file, which is downloaded where none is given.

    source: torchvision, onnx-zoo, caffe or slim. variant: what it becomes; none: the
    network that the source has. labels: class names; none: ImageNet's 1,000. Every
    tensor of the file is assigned once, by name. Prints what was done. Raises UserError
    for a file that is another network's or damaged.
    """
    known = published(source)
    if variant and variant not in known.variants:
        raise unknown_choice(f"what {source} weights become", variant, known.variants)
    path = _checked(file, known) if file else fetched(known)
    original = is_published(path, known) if path.is_file() else False
    route = ROUTES[source]
    contents = route.read(path)
    arch = _architecture(source, variant or known.variants[0], contents.padding)
    heads = _heads(route.origins, arch, contents.tensors)
    untrained = () if known.trained_heads or not original else heads
    tensors = _without(untrained, route.origins, arch, contents.tensors)
    heads = () if untrained else heads
    print(_said_of_heads(known, heads, untrained))
    weights = taken(tensors, route.origins(arch, heads))
    names = _labels(labels, len(weights[CLASSES]))
    network = build_network(
        arch, classes=len(names), image_size=SIZE, auxiliary=bool(heads)
    )
    assign_weights(network, weights)
    print(f"{len(tensors)} tensors of {path} became {len(weights)} weights")
    origin = _provenance(known, path)
    if labels is None:
        origin["trained_on"] = "ImageNet"
    return Classifier(network, arch, Preprocessing(SIZE, SIZE, CROP), names, origin)


def imagenet_labels() -> tuple[str, ...]:
    """The names of ImageNet's 1,000 classes, in the order of their WordNet numbers."""
    text = files("googlenet_keras.weights").joinpath("imagenet_labels.txt")
    return tuple(text.read_text("utf-8").splitlines())


def wordnet_numbers() -> tuple[str, ...]:
    """n01440764 and so on: how ImageNet's folders and TFDS call the same classes."""
    folder = files("tensorflow_datasets.datasets.imagenet2012")
    return tuple(folder.joinpath("labels.txt").read_text("utf-8").splitlines())


def save_whole(classifier: Classifier, folder: Path) -> None:
    """Saves `classifier` in a new folder that appears when all is in it.

    Where another process was faster, its folder stays. Raises DiskError.
    """
    unfinished = folder.with_name(f"{folder.name}.{uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        classifier.save(unfinished)
        with disk_errors(folder):
            unfinished.rename(folder)
    except DiskError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _checked(file: Path, known: Published) -> Path:
    """`file` if it may be the source's. Raises UserError."""
    prefix = known.name == "slim" and Path(f"{file}.index").is_file()
    if not (file.is_file() or prefix):
        raise UserError(f"no such file: {file}.")
    if not prefix and not file.name.endswith(known.suffixes):
        raise UserError(
            f"{known.name} weights are in a file that ends in "
            f"{' or '.join(known.suffixes)}; received {file.name}."
        )
    if file.is_file() and file.stat().st_size > LARGEST:
        raise UserError(
            f"no GoogLeNet has more than {LARGEST} bytes of weights; {file} has "
            f"{file.stat().st_size}."
        )
    return file


def _architecture(source: str, variant: str, padding: str | None) -> Architecture:
    if variant == "bn":
        return WIDE[source]
    if padding == "floor":
        return replace(PAPER, padding="floor", differences=(*PAPER.differences, FLOOR))
    return {"paper": PAPER, "slim": SLIM, "torchvision": TORCHVISION}[variant]


def _names(origins: Origins, arch: Architecture, heads: tuple[str, ...]) -> set[str]:
    """What a file calls that which belongs to these auxiliary heads alone."""
    trunk, both = (origins(arch, wanted) for wanted in ((), heads))
    return {both[ours].name for ours in both.keys() - trunk.keys()}


def _heads(origins: Origins, arch: Architecture, tensors: Tensors) -> tuple[str, ...]:
    """The auxiliary heads that the file has something of."""
    known = [head.name for head in arch.heads]
    return tuple(h for h in known if _names(origins, arch, (h,)) & tensors.keys())


def _without(
    heads: tuple[str, ...], origins: Origins, arch: Architecture, tensors: Tensors
) -> Tensors:
    spare = _names(origins, arch, heads)
    return {name: value for name, value in tensors.items() if name not in spare}


def _said_of_heads(
    known: Published, heads: tuple[str, ...], untrained: tuple[str, ...]
) -> str:
    if untrained:
        return "the file's auxiliary heads were never trained; they are left out"
    if not heads:
        return "the file has no auxiliary heads; a training starts new ones"
    listed = f"{', '.join(heads)} are taken as trained"
    return listed if known.trained_heads else f"{listed}; {known.name}'s own never were"


def _labels(labels: tuple[str, ...] | None, classes: int) -> tuple[str, ...]:
    names = imagenet_labels() if labels is None else labels
    if len(names) != classes:
        raise UserError(
            f"every class needs a label; the file has {classes} classes and there are "
            f"{len(names)} labels. Give a file with a label on each line: --labels FILE"
        )
    return names


def _provenance(known: Published, path: Path) -> dict[str, object]:
    return {
        "weights_from": known.name,
        "file": path.name,
        "licence": known.licence,
        "claimed_top1": known.top1,
        "claimed_top5": known.top5,
        "claimed_by": known.claimed_by,
    }
