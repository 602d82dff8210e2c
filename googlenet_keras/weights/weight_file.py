"""A file of weights: read in a child process, its tensors mapped to Keras's weights."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.processes import ProcessError, child_process

MAX_FILE_BYTES = 2**27  # the largest published file has two fifths of it
# a training script's also has the optimizer's state and averages of the weights
MAX_CHECKPOINT_BYTES = 4 * MAX_FILE_BYTES
# 28 MB of weights take less than 250 MB and 0.5 s; MAX_FILE_BYTES is 134 MB.
PARSER_LIMITS = {"memory_bytes": 2**30, "cpu_seconds": 20}

Parsed = TypeVar("Parsed")
Tensors = Mapping[str, np.ndarray]
"""A file's tensors by their names there."""
Transform = Callable[[np.ndarray], np.ndarray]


class WeightFile(NamedTuple):
    """The content of a file: its tensors, and its padding rule if it has a graph."""

    tensors: Tensors
    padding: str | None = None


class WeightSource(NamedTuple):
    """A tensor's name in the file, and the transforms to Keras's layout, in order."""

    name: str
    transforms: tuple[Transform, ...] = ()


Sources = dict[str, WeightSource]
"""The source of each weight of a network, by its name there."""


def parse_in_child(parse: Callable[[Path], Parsed], path: Path, kind: str) -> Parsed:
    """Returns `parse(path)`. Raises UserError if it raises or exceeds PARSER_LIMITS.

    parse: a function of a module that does not import TensorFlow. kind: what `path`
    should be, for the message.
    """
    try:
        with child_process(None, **PARSER_LIMITS) as call:
            return call(parse, path)
    except ProcessError as error:
        reason = str(error).rstrip(".")
        if isinstance(error.__cause__, MemoryError | BrokenProcessPool):
            reason = "reading it takes more memory or time than any GoogLeNet's weights"
        raise UserError(f"{path} is no valid {kind}: {reason}.") from error


def map_weights(tensors: Tensors, sources: Sources) -> dict[str, np.ndarray]:
    """Maps a file's tensors to Keras weights by name, in float32.

    sources: one for each weight. Raises UserError if a tensor is missing, left over,
    misshapen, not finite or of a type that no weights have.
    """
    from googlenet_keras.network import weights as network_weights  # imports Keras

    names = {source.name for source in sources.values()}
    weights, misshapen = {}, []
    for ours, (name, transforms) in sources.items():
        if name not in tensors:
            continue
        value = tensors[name]
        try:
            for transform in transforms:
                value = transform(value)
            weights[ours] = value
        except (ValueError, IndexError, TypeError):
            misshapen.append(f"{name} is {tensors[name].shape}")
    network_weights.refuse_mismatch(
        {
            "missing": sorted(names - tensors.keys()),
            "left over": sorted(tensors.keys() - names),
            "misshapen": sorted(misshapen),
        }
    )
    network_weights.check_numbers(tensors)
    return {n: np.ascontiguousarray(value, np.float32) for n, value in weights.items()}


def layers_with_weights(
    arch: Architecture, heads: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Yields (layer, head) for each layer with weights; the trunk's head is "".

    heads: the auxiliary heads to include. A layer of logits is named like its head.
    """
    for layer in arch.widths():
        head = next((h.name for h in arch.heads if layer.startswith(f"{h.name}_")), "")
        if not head or head in heads:
            yield layer, head
    yield from ((head, head) for head in ("main", *heads))


def transpose_kernel(value: np.ndarray) -> np.ndarray:
    """[out, in, height, width] to [height, width, in, out]."""
    return value.transpose(2, 3, 1, 0)


def scale_input_channels(value: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Multiplies a kernel [height, width, in, out] by a factor for each input."""
    return value * factors[:, None]


def reverse_input_channels(value: np.ndarray) -> np.ndarray:
    """A kernel [height, width, in, out] for BGR to one for RGB."""
    return value[:, :, ::-1]


def zero_pad_kernel(value: np.ndarray, size: int) -> np.ndarray:
    """Pads a kernel with zeros to `size` x `size`; the convolution stays the same."""
    before = (size - value.shape[0]) // 2
    after = size - value.shape[0] - before
    return np.pad(value, ((before, after), (before, after), (0, 0), (0, 0)))


def transpose_dense(value: np.ndarray) -> np.ndarray:
    """[out, in] to [in, out]; old Caffe files have [1, 1, out, in]."""
    return value.reshape(value.shape[-2:]).T


def transpose_flattened_dense(value: np.ndarray, channels: int) -> np.ndarray:
    """[out, channels * height * width] to [height * width * channels, out].

    For a dense layer after Flatten: Caffe and PyTorch flatten channel by channel, Keras
    pixel by pixel.
    """
    maps = value.reshape(value.shape[-2], channels, -1)  # [out, channels, pixels]
    return maps.transpose(2, 1, 0).reshape(-1, value.shape[-2])
