"""Reads Caffe's bvlc_googlenet, and maps Caffe's weight names to ours."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.weights.caffe_proto import NetParameter
from googlenet_keras.weights.layouts import (
    Transform,
    compose,
    reverse_input_channels,
    transpose_dense,
    transpose_flattened_dense,
    transpose_kernel,
)
from googlenet_keras.weights.name_map import (
    WeightFile,
    WeightSource,
    layers_with_weights,
)
from googlenet_keras.weights.untrusted import parse_in_child

SLASHED_PREFIX = re.compile(r"(conv\d|inception_\d\w)_")  # Caffe ends it with a slash
CAFFE_HEAD_NAMES = {"main": "loss3", "aux1": "loss1", "aux2": "loss2"}
KERNEL_SUFFIX, BIAS_SUFFIX = "_w_0", "_b_0"  # the ONNX zoo's names of a layer's blobs


def read(path: Path) -> WeightFile:
    """Reads a .caffemodel; a name is the layer's plus _w_0 or _b_0.

    Raises UserError.
    """
    return parse_in_child(parse_caffemodel, path, ".caffemodel")


def parse_caffemodel(path: Path) -> WeightFile:
    """Parses a .caffemodel in this process; a damaged file may raise any error."""
    net = NetParameter.FromString(path.read_bytes())
    tensors: dict[str, np.ndarray] = {}
    for layer in (*net.layer, *net.layers):
        for name, value in _layer_tensors(layer):
            if name in tensors:
                raise UserError(f"{name!r:.80} is there twice.")
            tensors[name] = value
    if not tensors:
        raise UserError("it has no layer with weights.")
    return WeightFile(tensors)


def weight_sources(
    arch: Architecture, heads: tuple[str, ...]
) -> dict[str, WeightSource]:
    """The source of each weight of `arch` with these auxiliary heads, by name."""
    sources = {}
    for layer, head in layers_with_weights(arch, heads):
        transform: Transform = transpose_kernel
        if layer == arch.rows[0].name:
            transform = compose(transpose_kernel, reverse_input_channels)
        elif layer.endswith("_fc"):
            channels = arch.widths()[f"{head}_conv"]
            transform = partial(transpose_flattened_dense, channels=channels)
        sources.update(_layer_sources(layer, _caffe_name(layer), transform))
    for head in ("main", *heads):
        name = f"{CAFFE_HEAD_NAMES[head]}/classifier"
        sources.update(_layer_sources(head, name, transpose_dense))
    return sources


def _layer_sources(
    ours: str, theirs: str, transform: Transform
) -> dict[str, WeightSource]:
    return {
        f"{ours}/kernel": WeightSource(theirs + KERNEL_SUFFIX, transform),
        # [1, 1, 1, n] in old files
        f"{ours}/bias": WeightSource(theirs + BIAS_SUFFIX, np.ravel),
    }


def _caffe_name(layer: str) -> str:
    head, _, role = layer.partition("_")
    if head in CAFFE_HEAD_NAMES:
        return f"{CAFFE_HEAD_NAMES[head]}/{role}"
    return SLASHED_PREFIX.sub(r"\1/", layer)


def _layer_tensors(layer: Any) -> Iterator[tuple[str, np.ndarray]]:
    """(name, numbers) of a layer's kernel and bias."""
    name = layer.name.decode(errors="replace")
    if len(layer.blobs) > 2:
        raise UserError(
            f"{name!r:.80} has {len(layer.blobs)} blobs; at most 2 are known."
        )
    for suffix, blob in zip((KERNEL_SUFFIX, BIAS_SUFFIX), layer.blobs, strict=False):
        sides = (blob.num, blob.channels, blob.height, blob.width)  # until 2014
        shape = blob.shape.dim if blob.HasField("shape") else sides
        try:
            yield name + suffix, np.frombuffer(blob.data, "<f4").reshape(tuple(shape))
        except ValueError as error:
            raise UserError(
                f"the numbers of {name!r:.80} are damaged: {error}"
            ) from error
