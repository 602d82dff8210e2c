"""The ONNX model zoo's GoogLeNet, and Caffe2's Inception v1 beside it there."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.errors import UserError
from googlenet_keras.weights.name_map import Contents
from googlenet_keras.weights.wire import Reader, floats, text

# of onnx.proto: the fields that lead to the weights and to the windows of the pools
GRAPH, NODE, INITIALIZER = 7, 1, 5
OPERATOR, ATTRIBUTE = 4, 5
A_NAME, A_FLOAT, A_INT, A_TEXT, A_INTS = 1, 2, 3, 4, 8
T_DIMS, T_TYPE, T_FLOATS, T_NAME, T_RAW, T_LOCATION = 1, 2, 4, 8, 9, 14
FLOAT, INT64, EXTERNAL = 1, 7, 1
NORM = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}  # Caffe's lrn_param
NORM_DEFAULTS = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}  # ONNX's own
KNOWN = {  # operators that have no weights, or those that are taken
    *("Conv", "Relu", "MaxPool", "LRN", "Concat", "AveragePool", "GlobalAveragePool"),
    *("Dropout", "Reshape", "Flatten", "Gemm", "Softmax", "Constant", "Identity"),
}
Attributes = Mapping[str, Any]


def read(path: Path) -> Contents:
    """The weights in `path` by Caffe's names, and the padding rule of its graph.

    The rule is "symmetric" where pools of stride 2 see the edge (Caffe), "floor" where
    they leave it out (Caffe2's conversion). Raises UserError for anything else; files
    beside it are not opened.
    """
    reader, tensors, rules = Reader(), {}, set()
    try:
        for number, graph in reader.fields(memoryview(path.read_bytes())):
            if number != GRAPH or isinstance(graph, int):
                continue
            for part, value in reader.fields(graph):
                if part == INITIALIZER and not isinstance(value, int):
                    tensors |= _tensor(reader, value, tensors)
                elif part == NODE and not isinstance(value, int):
                    rules.add(_rule(*_node(reader, value)))
    except UserError as error:
        raise UserError(f"{path} is no whole GoogLeNet in ONNX: {error}") from error
    rules.discard("")
    if len(rules) != 1:
        raise UserError(
            f"{path} is no whole GoogLeNet in ONNX: its pools of stride 2 must all see "
            "the edge or all leave it out; found "
            f"{', '.join(sorted(rules)) or 'none'}."
        )
    return Contents(tensors, rules.pop())


def _tensor(
    reader: Reader, data: memoryview, before: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The tensor by its name; nothing for a list of whole numbers, which is a shape."""
    name, kind, shape, numbers = "", FLOAT, [], memoryview(b"")
    for part, value in reader.fields(data):
        if part == T_NAME:
            name = text(value)
        elif part == T_TYPE and isinstance(value, int):
            kind = value
        elif part == T_DIMS:
            shape += reader.numbers(value)
        elif part in (T_RAW, T_FLOATS) and not isinstance(value, int):
            numbers = value
        elif part == T_LOCATION and value == EXTERNAL:
            raise UserError(f"{name!r:.80} lies in another file, which is not opened.")
    if kind == INT64:
        return {}
    if kind != FLOAT:
        raise UserError(
            f"weights must be float32; {name!r:.80} are of type {kind}. A quantised "
            "network cannot be trained."
        )
    if name in before:
        raise UserError(f"{name!r:.80} is there twice.")
    return {name: floats(numbers, shape, name)}


def _node(reader: Reader, data: memoryview) -> tuple[str, Attributes]:
    operator, attributes = "", {}
    for part, value in reader.fields(data):
        if part == OPERATOR:
            operator = text(value)
        elif part == ATTRIBUTE and not isinstance(value, int):
            attributes |= _attribute(reader, value)
    return operator, attributes


def _attribute(reader: Reader, data: memoryview) -> dict[str, Any]:
    name, found, ints = "", None, []
    for part, value in reader.fields(data):
        if part == A_NAME:
            name = text(value)
        elif part == A_INTS:
            ints += reader.numbers(value)
        elif part == A_TEXT:
            found = text(value)
        elif part == A_INT:
            found = value
        elif part == A_FLOAT and not isinstance(value, int) and len(value) == 4:
            (found,) = struct.unpack("<f", value)
    return {name: ints or found}


def _rule(operator: str, given: Attributes) -> str:
    """ "symmetric" or "floor" for a pool of stride 2, nothing for another operator.

    Raises UserError for an operator that GoogLeNet has not, or not so.
    """
    if operator not in KNOWN:
        raise UserError(f"GoogLeNet has no operator {operator!r:.80}.")
    if given.get("auto_pad", "NOTSET") != "NOTSET":
        raise UserError(f"padding must be in numbers; found {given['auto_pad']!r:.80}.")
    if operator == "LRN" and not _is_caffes(given):
        raise UserError(f"response normalisation must have Caffe's {NORM}.")
    if operator != "MaxPool" or given.get("strides", [1, 1]) == [1, 1]:
        return ""
    pads = given.get("pads") or [0, 0, 0, 0]
    if any(pads[:2]):
        raise UserError(f"max pools are padded at the end alone; found pads {pads}.")
    return "symmetric" if given.get("ceil_mode") == 1 or any(pads) else "floor"


def _is_caffes(given: Attributes) -> bool:
    found = NORM_DEFAULTS | given
    numbers = all(isinstance(found.get(name), int | float) for name in NORM)
    return numbers and all(
        abs(found[name] - value) <= 1e-6 * value for name, value in NORM.items()
    )
