"""Caffe's bvlc_googlenet: a .caffemodel, and Caffe's names wherever they are used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.weights.layouts import (
    after_flatten,
    dense,
    from_oihw,
    in_turn,
    reversed_input,
)
from googlenet_keras.weights.name_map import Contents, Origin, layers
from googlenet_keras.weights.wire import Reader, floats, text

PART = re.compile(r"(conv\d|inception_\d\w)_")  # what Caffe ends with a slash
HEADS = {"main": "loss3", "aux1": "loss1", "aux2": "loss2"}
WEIGHT, BIAS = "_w_0", "_b_0"  # how the ONNX zoo calls a layer's two blobs

# of caffe.proto, by the number of the field in the net: where a layer has its name and
# its blobs; the second is how layers were written until 2014
LAYERS = {100: (1, 7), 2: (4, 6)}
SIDES = (1, 2, 3, 4)  # num, channels, height, width, in place of a shape
DATA, SHAPE, DIM = 5, 7, 1


def read(path: Path) -> Contents:
    """The weights in a .caffemodel, by layer name with _w_0 or _b_0 behind.

    Raises UserError for what is none.
    """
    reader, tensors = Reader(), {}
    try:
        for number, value in reader.fields(memoryview(path.read_bytes())):
            for name, blob in _blobs(reader, number, value):
                if name in tensors:
                    raise UserError(f"{name!r:.80} is there twice.")
                tensors[name] = blob
    except UserError as error:
        raise UserError(f"{path} is no whole .caffemodel: {error}") from error
    if not tensors:
        raise UserError(f"{path} is no .caffemodel: it has no layer with weights.")
    return Contents(tensors)


def origins(arch: Architecture, heads: tuple[str, ...]) -> dict[str, Origin]:
    """Whence each weight of `arch` with these auxiliary heads comes."""
    found = {}
    widths = arch.widths()
    for layer, head in layers(arch, heads):
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


def _blobs(
    reader: Reader, number: int, layer: int | memoryview
) -> Iterator[tuple[str, np.ndarray]]:
    """(name, numbers) of a layer's weights and biases."""
    if number not in LAYERS or isinstance(layer, int):
        return
    named, blobs = LAYERS[number]
    name, found = "", []
    for part, value in reader.fields(layer):
        if part == named:
            name = text(value)
        elif part == blobs and not isinstance(value, int):
            found.append(value)
    if len(found) > 2:
        raise UserError(f"{name!r:.80} has {len(found)} blobs; no layer has over two.")
    for ending, blob in zip((WEIGHT, BIAS), found, strict=False):
        yield name + ending, _array(reader, blob, name)


def _array(reader: Reader, blob: memoryview, name: str) -> np.ndarray:
    """The blob's floats in its shape. Raises UserError where they do not fit."""
    sides: dict[int, int] = {}
    shape: list[int] = []
    data: int | memoryview = memoryview(b"")
    for number, value in reader.fields(blob):
        if number == DATA:
            data = value
        elif number == SHAPE and not isinstance(value, int):
            dims = (dim for part, dim in reader.fields(value) if part == DIM)
            shape += [side for dim in dims for side in reader.numbers(dim)]
        elif number in SIDES and isinstance(value, int):
            sides[number] = value
    return floats(data, shape or [sides.get(n, 0) for n in SIDES], name)
