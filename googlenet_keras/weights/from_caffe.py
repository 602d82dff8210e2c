"""Caffe's bvlc_googlenet: a .caffemodel, and Caffe's names wherever they are used."""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from googlenet_keras.architecture.variants import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.weights.layouts import (
    after_flatten,
    dense,
    from_oihw,
    in_turn,
    reversed_input,
)
from googlenet_keras.weights.origins import Contents, Origin

PART = re.compile(r"(conv\d|inception_\d\w)_")  # what Caffe ends with a slash
HEADS = {"main": "loss3", "aux1": "loss1", "aux2": "loss2"}
WEIGHT, BIAS = "_w_0", "_b_0"  # how the ONNX zoo calls a layer's two blobs

Kind = descriptor_pb2.FieldDescriptorProto
# Of caffe.proto what leads to the weights: message → field → (number, kind, repeated).
# `data` is declared as bytes: packed floats are the same on the wire, and read at once.
MESSAGES = {
    "Shape": {"dim": (1, Kind.TYPE_INT64, True)},
    "Blob": {
        "num": (1, Kind.TYPE_INT32, False),
        "channels": (2, Kind.TYPE_INT32, False),
        "height": (3, Kind.TYPE_INT32, False),
        "width": (4, Kind.TYPE_INT32, False),
        "data": (5, Kind.TYPE_BYTES, False),
        "shape": (7, "Shape", False),
    },
    "OldLayer": {"name": (4, Kind.TYPE_BYTES, False), "blobs": (6, "Blob", True)},
    "Layer": {"name": (1, Kind.TYPE_BYTES, False), "blobs": (7, "Blob", True)},
    "Net": {"layers": (2, "OldLayer", True), "layer": (100, "Layer", True)},
}


def read(path: Path) -> Contents:
    """The weights in a .caffemodel, by layer name with _w_0 or _b_0 behind.

    Raises UserError for what is none.
    """
    net = _net_class()()
    try:
        net.ParseFromString(path.read_bytes())
    except message.DecodeError as error:
        raise UserError(f"{path} is no whole .caffemodel: {error}.") from error
    tensors = {}
    for layer in (*net.layer, *net.layers):
        for ending, blob in zip((WEIGHT, BIAS), layer.blobs, strict=False):
            name = layer.name.decode(errors="replace")
            tensors[name + ending] = _array(blob, name)
    if not tensors:
        raise UserError(f"{path} is no .caffemodel: it has no layer with weights.")
    return Contents(tensors)


def origins(arch: Architecture, heads: tuple[str, ...]) -> dict[str, Origin]:
    """Whence each weight of `arch` with these auxiliary heads comes."""
    found = {}
    widths = arch.widths()
    for layer in widths:
        head = layer.split("_")[0]
        if head in ("aux1", "aux2") and head not in heads:
            continue
        turn = from_oihw
        if layer == arch.rows[0].name:
            turn = in_turn(from_oihw, reversed_input)
        elif layer.endswith("_fc"):
            turn = partial(after_flatten, channels=widths[f"{head}_conv"])
        found.update(_layer(layer, _name(layer), turn))
    for head in ("main", *heads):
        found.update(_layer(head, f"{HEADS[head]}/classifier", dense))
    return found


def _layer(ours: str, theirs: str, turn) -> dict[str, Origin]:
    return {
        f"{ours}/kernel": Origin(theirs + WEIGHT, turn),
        f"{ours}/bias": Origin(theirs + BIAS, np.ravel),  # once [1, 1, 1, n]
    }


def _name(layer: str) -> str:
    head, _, role = layer.partition("_")
    return f"{HEADS[head]}/{role}" if head in HEADS else PART.sub(r"\1/", layer)


def _array(blob, name: str) -> np.ndarray:
    """The blob's floats in its shape. Raises UserError where they do not fit."""
    shape = tuple(blob.shape.dim) or (
        blob.num,
        blob.channels,
        blob.height,
        blob.width,
    )
    try:
        return np.frombuffer(blob.data, "<f4").reshape(shape)
    except ValueError as error:
        raise UserError(f"a blob of {name} is damaged: {error}.") from error


@cache
def _net_class():
    """The message class of a whole net."""
    file = descriptor_pb2.FileDescriptorProto(name="weights.proto", package="weights")
    for name, fields in MESSAGES.items():
        declared = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            added = declared.field.add(name=field, number=number)
            added.label = Kind.LABEL_REPEATED if repeated else Kind.LABEL_OPTIONAL
            if isinstance(kind, str):
                added.type, added.type_name = Kind.TYPE_MESSAGE, f".weights.{kind}"
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("weights.Net"))
