"""torchvision's GoogLeNet: a state_dict in .pth or .safetensors."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import safetensors.numpy
from safetensors import SafetensorError

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.weights.layouts import (
    after_flatten,
    dense,
    from_oihw,
    in_turn,
    widened,
)
from googlenet_keras.weights.name_map import Contents, Origin, layers, normalised
from googlenet_keras.weights.pytorch_file import read_pytorch

STEM = {"conv1_7x7_s2": "conv1", "conv2_3x3_reduce": "conv2", "conv2_3x3": "conv3"}
BRANCHES = {
    "1x1": "branch1",
    "3x3_reduce": "branch2.0",
    "3x3": "branch2.1",
    "5x5_reduce": "branch3.0",
    "5x5": "branch3.1",
    "pool_proj": "branch4.1",
}
NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
ODD = (ValueError, KeyError, TypeError, AttributeError)  # kinds of number numpy lacks
COUNTER = ".num_batches_tracked"  # which nothing needs


def read(path: Path) -> Contents:
    """The state_dict in `path`, a .safetensors or PyTorch's own. Raises UserError."""
    if path.suffix == ".safetensors":
        try:
            tensors = safetensors.numpy.load_file(path)
        except (OSError, SafetensorError, *ODD) as error:
            raise UserError(f"{path} is no whole .safetensors: {error}.") from error
    else:
        tensors = read_pytorch(path)
    return Contents({n: t for n, t in tensors.items() if not n.endswith(COUNTER)})


def origins(arch: Architecture, heads: tuple[str, ...]) -> dict[str, Origin]:
    """Whence each weight of `arch` with these auxiliary heads comes."""
    found = {}
    widths = arch.widths()
    for layer, head in layers(arch, heads):
        if layer.endswith("_fc"):
            flat = partial(after_flatten, channels=widths[f"{head}_conv"])
            found[f"{layer}/kernel"] = Origin(f"{head}.fc1.weight", flat)
            found[f"{layer}/bias"] = Origin(f"{head}.fc1.bias")
            continue
        name = _convolution(layer)
        turn = from_oihw
        if layer.endswith("_5x5"):
            turn = in_turn(from_oihw, partial(widened, size=arch.wide_kernel))
        found[f"{layer}/kernel"] = Origin(f"{name}.conv.weight", turn)
        norm = {ours: f"{name}.bn.{theirs}" for ours, theirs in NORM.items()}
        found.update(normalised(layer, norm))
    for head in ("main", *heads):
        name = "fc" if head == "main" else f"{head}.fc2"
        found[f"{head}/kernel"] = Origin(f"{name}.weight", dense)
        found[f"{head}/bias"] = Origin(f"{name}.bias")
    return found


def _convolution(layer: str) -> str:
    if layer in STEM:
        return STEM[layer]
    part, _, role = layer.removeprefix("inception_").partition("_")
    if role == "conv":  # an auxiliary head's
        return f"{part}.conv"
    return f"inception{part}.{BRANCHES[role]}"
