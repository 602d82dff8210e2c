"""torchvision's GoogLeNet: a state_dict in .pth or .safetensors."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path

import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.weights.pytorch_file import parse_pytorch
from googlenet_keras.weights.weight_file import (
    MAX_FILE_BYTES,
    Sources,
    Transform,
    WeightFile,
    WeightSource,
    layers_with_weights,
    parse_in_child,
    scale_input_channels,
    transpose_dense,
    transpose_flattened_dense,
    transpose_kernel,
    zero_pad_kernel,
)

TORCHVISION_LAYER_NAMES = {
    "conv1_7x7_s2": "conv1",
    "conv2_3x3_reduce": "conv2",
    "conv2_3x3": "conv3",
    "main": "fc",
}
TORCHVISION_ROLE_NAMES = {  # within an inception module, then within an auxiliary head
    "1x1": "branch1",
    "3x3_reduce": "branch2.0",
    "3x3": "branch2.1",
    "5x5_reduce": "branch3.0",
    "5x5": "branch3.1",
    "pool_proj": "branch4.1",
    "conv": "conv",
    "fc": "fc1",
    "": "fc2",
}
TORCHVISION_BATCH_NORM_NAMES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# of batch normalization and of averaged weights; no weights themselves
STEP_COUNTERS = ("num_batches_tracked", "n_averaged")
# of pixels in 0..255; torchvision's Normalize, without transform_input
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STDDEV = (58.395, 57.12, 57.375)
IMAGENET_PIXELS_DIFFERENCE = (
    "Pixels are normalized by ImageNet's mean and standard deviation; the deviations "
    "are in the first kernel."
)

log = logging.getLogger(__name__)


def read(path: Path) -> WeightFile:
    """Reads a .safetensors or PyTorch's own file. Raises UserError.

    What all names begin with, such as DataParallel's "module.", is taken off.
    """
    from googlenet_keras.network.weights import read_safetensors  # imports Keras

    place = ""
    if path.suffix == ".safetensors":
        tensors = read_safetensors(path, MAX_FILE_BYTES)
    else:
        place, tensors = parse_in_child(parse_pytorch, path, "PyTorch file")
    tensors = {n: t for n, t in tensors.items() if not n.endswith(STEP_COUNTERS)}
    prefix = _common_prefix(tensors)
    if place:
        log.info("the tensors are those under %r in %s", place, path)
    if prefix:
        log.info("the tensors' names all begin with %r, which is taken off", prefix)
    return WeightFile({n.removeprefix(prefix): t for n, t in tensors.items()})


def _common_prefix(names: Iterable[str]) -> str:
    """The dotted parts that all `names` begin with; GoogLeNet's own have none."""
    columns = zip(*(name.split(".")[:-1] for name in names), strict=False)
    same = takewhile(lambda column: len({*column}) == 1, columns)
    return "".join(f"{part}." for part, *_ in same)


def without_transform_input(arch: Architecture) -> Architecture:
    """The network for pixels normalized by ImageNet's mean and standard deviation."""
    return replace(
        arch,
        pixel_mean=IMAGENET_MEAN,
        pixel_scale=float(np.mean(IMAGENET_STDDEV)),
        differences=(*arch.differences, IMAGENET_PIXELS_DIFFERENCE),
    )


def weight_sources(arch: Architecture, heads: tuple[str, ...]) -> Sources:
    """The source of each weight of `arch` with these auxiliary heads, by name."""
    sources = {}
    for layer, head in layers_with_weights(arch, heads):
        name = _torchvision_name(layer)
        if layer == head or layer.endswith("_fc"):
            transform: Transform = transpose_dense
            if layer != head:
                channels = arch.widths()[f"{head}_conv"]
                transform = partial(transpose_flattened_dense, channels=channels)
            sources[f"{layer}/kernel"] = WeightSource(f"{name}.weight", (transform,))
            sources[f"{layer}/bias"] = WeightSource(f"{name}.bias")
            continue
        transforms: tuple[Transform, ...] = (transpose_kernel,)
        if layer.endswith("_5x5"):
            transforms += (partial(zero_pad_kernel, size=arch.wide_kernel),)
        if layer == arch.rows[0].name and arch.pixel_mean == IMAGENET_MEAN:
            factors = arch.pixel_scale / np.array(IMAGENET_STDDEV)
            transforms += (partial(scale_input_channels, factors=factors),)
        sources[f"{layer}/kernel"] = WeightSource(f"{name}.conv.weight", transforms)
        for ours, theirs in TORCHVISION_BATCH_NORM_NAMES.items():
            sources[f"{layer}_bn/{ours}"] = WeightSource(f"{name}.bn.{theirs}")
    return sources


def _torchvision_name(layer: str) -> str:
    if layer in TORCHVISION_LAYER_NAMES:
        return TORCHVISION_LAYER_NAMES[layer]
    part, _, role = layer.replace("inception_", "inception").partition("_")
    return f"{part}.{TORCHVISION_ROLE_NAMES[role]}"
