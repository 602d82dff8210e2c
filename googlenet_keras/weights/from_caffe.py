"""Reads Caffe's bvlc_googlenet, and maps Caffe's weight names to ours."""

import re
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.artifacts.protobuf_schema import message_class
from googlenet_keras.errors import UserError
from googlenet_keras.weights.weight_file import (
    Sources,
    Transform,
    WeightFile,
    WeightSource,
    layers_with_weights,
    parse_in_child,
    reverse_input_channels,
    transpose_dense,
    transpose_flattened_dense,
    transpose_kernel,
)

# What is needed of Caffe's caffe.proto, where V1LayerParameter is how layers were
# written until 2014. `data` are packed floats, taken as bytes for speed.
CAFFE_FIELDS = """
BlobShape: repeated int64 dim = 1
BlobProto: optional int32 num = 1
BlobProto: optional int32 channels = 2
BlobProto: optional int32 height = 3
BlobProto: optional int32 width = 4
BlobProto: optional bytes data = 5
BlobProto: optional BlobShape shape = 7
LayerParameter: optional bytes name = 1
LayerParameter: repeated BlobProto blobs = 7
V1LayerParameter: optional bytes name = 4
V1LayerParameter: repeated BlobProto blobs = 6
NetParameter: repeated V1LayerParameter layers = 2
NetParameter: repeated LayerParameter layer = 100
"""
SLASHED_PREFIX = re.compile(r"(conv\d|inception_\d\w)_")  # Caffe ends it with a slash
CAFFE_HEAD_NAMES = {"main": "loss3", "aux1": "loss1", "aux2": "loss2"}
KERNEL_SUFFIX, BIAS_SUFFIX = "_w_0", "_b_0"  # the ONNX zoo's names of a layer's blobs


def read(path: Path) -> WeightFile:
    """Reads a .caffemodel; weights get the ONNX zoo's names. Raises UserError."""
    return parse_in_child(parse_caffemodel, path, ".caffemodel")


def parse_caffemodel(path: Path) -> WeightFile:
    """Parses a .caffemodel in this process; a damaged file may raise any error."""
    net = _net_parameter().FromString(path.read_bytes())
    tensors: dict[str, np.ndarray] = {}
    for layer in (*net.layer, *net.layers):
        name = layer.name.decode(errors="replace")
        if len(layer.blobs) > 2:
            raise UserError(f"{name!r:.80} has {len(layer.blobs)} blobs; 2 are known.")
        blobs = zip((KERNEL_SUFFIX, BIAS_SUFFIX), layer.blobs, strict=False)
        for suffix, blob in blobs:
            if name + suffix in tensors:
                raise UserError(f"{name + suffix!r:.80} is there twice.")
            sides = (blob.num, blob.channels, blob.height, blob.width)  # until 2014
            shape = blob.shape.dim if blob.HasField("shape") else sides
            try:
                array = np.frombuffer(blob.data, "<f4").reshape(tuple(shape))
            except ValueError as error:
                raise UserError(
                    f"the numbers of {name!r:.80} are damaged: {error}"
                ) from error
            tensors[name + suffix] = array
    if not tensors:
        raise UserError("it has no layer with weights.")
    return WeightFile(tensors)


@cache
def _net_parameter() -> Any:
    """The protobuf class of a whole .caffemodel."""
    return message_class(CAFFE_FIELDS, "NetParameter")


def weight_sources(arch: Architecture, heads: tuple[str, ...]) -> Sources:
    """The source of each weight of `arch` with these auxiliary heads, by name."""
    sources = {}
    for layer, head in layers_with_weights(arch, heads):
        name = SLASHED_PREFIX.sub(r"\1/", layer)
        if head:
            role = layer.partition("_")[2] or "classifier"
            name = f"{CAFFE_HEAD_NAMES[head]}/{role}"
        transforms: tuple[Transform, ...] = (transpose_kernel,)
        if layer == head:
            transforms = (transpose_dense,)
        elif layer == arch.rows[0].name:
            transforms = (transpose_kernel, reverse_input_channels)
        elif layer.endswith("_fc"):
            channels = arch.widths()[f"{head}_conv"]
            transforms = (partial(transpose_flattened_dense, channels=channels),)
        sources[f"{layer}/kernel"] = WeightSource(name + KERNEL_SUFFIX, transforms)
        # [1, 1, 1, n] in old files
        sources[f"{layer}/bias"] = WeightSource(name + BIAS_SUFFIX, (np.ravel,))
    return sources
