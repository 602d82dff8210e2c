"""torchvision's GoogLeNet: a state_dict in .pth or .safetensors."""

from functools import partial
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.weights.layouts import (
    Transform,
    compose,
    transpose_dense,
    transpose_flattened_dense,
    transpose_kernel,
    zero_pad_kernel,
)
from googlenet_keras.weights.name_map import (
    WeightFile,
    WeightSource,
    batch_norm_sources,
    layers_with_weights,
)
from googlenet_keras.weights.pytorch_file import parse_pytorch
from googlenet_keras.weights.untrusted import parse_in_child

TORCHVISION_STEM_NAMES = {
    "conv1_7x7_s2": "conv1",
    "conv2_3x3_reduce": "conv2",
    "conv2_3x3": "conv3",
}
TORCHVISION_BRANCH_NAMES = {
    "1x1": "branch1",
    "3x3_reduce": "branch2.0",
    "3x3": "branch2.1",
    "5x5_reduce": "branch3.0",
    "5x5": "branch3.1",
    "pool_proj": "branch4.1",
}
TORCHVISION_BATCH_NORM_NAMES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# what safetensors raises for types of numbers that NumPy does not have
UNKNOWN_TYPE_ERRORS = (ValueError, KeyError, TypeError, AttributeError)
STEP_COUNTER_SUFFIX = ".num_batches_tracked"  # of a batch normalization; not a weight


def read(path: Path) -> WeightFile:
    """Reads a .safetensors or PyTorch's own file. Raises UserError."""
    if path.suffix == ".safetensors":
        tensors = _load_safetensors(path)
    else:
        tensors = parse_in_child(parse_pytorch, path, "PyTorch file")
    return WeightFile(
        {n: t for n, t in tensors.items() if not n.endswith(STEP_COUNTER_SUFFIX)}
    )


def weight_sources(
    arch: Architecture, heads: tuple[str, ...]
) -> dict[str, WeightSource]:
    """The source of each weight of `arch` with these auxiliary heads, by name."""
    sources = {}
    for layer, head in layers_with_weights(arch, heads):
        if layer.endswith("_fc"):
            flattened = partial(
                transpose_flattened_dense, channels=arch.widths()[f"{head}_conv"]
            )
            sources[f"{layer}/kernel"] = WeightSource(f"{head}.fc1.weight", flattened)
            sources[f"{layer}/bias"] = WeightSource(f"{head}.fc1.bias")
            continue
        name = _convolution(layer)
        transform: Transform = transpose_kernel
        if layer.endswith("_5x5"):
            pad = partial(zero_pad_kernel, size=arch.wide_kernel)
            transform = compose(transpose_kernel, pad)
        sources[f"{layer}/kernel"] = WeightSource(f"{name}.conv.weight", transform)
        norm = {
            ours: f"{name}.bn.{theirs}"
            for ours, theirs in TORCHVISION_BATCH_NORM_NAMES.items()
        }
        sources.update(batch_norm_sources(layer, norm))
    for head in ("main", *heads):
        name = "fc" if head == "main" else f"{head}.fc2"
        sources[f"{head}/kernel"] = WeightSource(f"{name}.weight", transpose_dense)
        sources[f"{head}/bias"] = WeightSource(f"{name}.bias")
    return sources


def _convolution(layer: str) -> str:
    """torchvision's name of a convolution."""
    if layer in TORCHVISION_STEM_NAMES:
        return TORCHVISION_STEM_NAMES[layer]
    part, _, role = layer.removeprefix("inception_").partition("_")
    if role == "conv":  # an auxiliary head's
        return f"{part}.conv"
    return f"inception{part}.{TORCHVISION_BRANCH_NAMES[role]}"


def _load_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return safetensors.numpy.load_file(path)
    except (OSError, SafetensorError, *UNKNOWN_TYPE_ERRORS) as error:
        raise UserError(f"{path} is no valid .safetensors: {error}.") from error
