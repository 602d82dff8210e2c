"""torchvision's GoogLeNet: a state_dict in .pth or .safetensors."""

from functools import partial
from pathlib import Path

import safetensors.numpy
from safetensors import SafetensorError

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.weights.pytorch_file import parse_pytorch
from googlenet_keras.weights.weight_file import (
    Sources,
    Transform,
    WeightFile,
    WeightSource,
    layers_with_weights,
    parse_in_child,
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
# what safetensors raises for types of numbers that NumPy does not have
UNKNOWN_TYPE_ERRORS = (ValueError, KeyError, TypeError, AttributeError)
STEP_COUNTER_SUFFIX = ".num_batches_tracked"  # of a batch normalization; not a weight


def read(path: Path) -> WeightFile:
    """Reads a .safetensors or PyTorch's own file. Raises UserError."""
    if path.suffix == ".safetensors":
        try:
            tensors = safetensors.numpy.load_file(path)
        except (OSError, SafetensorError, *UNKNOWN_TYPE_ERRORS) as error:
            raise UserError(f"{path} is no valid .safetensors: {error}.") from error
    else:
        tensors = parse_in_child(parse_pytorch, path, "PyTorch file")
    return WeightFile(
        {n: t for n, t in tensors.items() if not n.endswith(STEP_COUNTER_SUFFIX)}
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
        sources[f"{layer}/kernel"] = WeightSource(f"{name}.conv.weight", transforms)
        for ours, theirs in TORCHVISION_BATCH_NORM_NAMES.items():
            sources[f"{layer}_bn/{ours}"] = WeightSource(f"{name}.bn.{theirs}")
    return sources


def _torchvision_name(layer: str) -> str:
    if layer in TORCHVISION_LAYER_NAMES:
        return TORCHVISION_LAYER_NAMES[layer]
    part, _, role = layer.replace("inception_", "inception").partition("_")
    return f"{part}.{TORCHVISION_ROLE_NAMES[role]}"
