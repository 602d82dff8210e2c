"""The ONNX model zoo's GoogLeNet, and Caffe2's Inception v1 beside it there."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from googlenet_keras.errors import UserError
from googlenet_keras.weights.from_caffe import BIAS, WEIGHT
from googlenet_keras.weights.origins import Contents

NORM = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}  # Caffe's lrn_param


def read(path: Path) -> Contents:
    """The weights in `path` by Caffe's names, and the padding rule of its graph.

    The rule is "symmetric" where pools of stride 2 see the edge (Caffe), "floor" where
    they leave it out (Caffe2's conversion). Raises UserError for anything else; files
    beside it are not opened.
    """
    try:
        graph = onnx.load(path, format="protobuf", load_external_data=False).graph
        tensors = {
            tensor.name: _array(tensor)
            for tensor in graph.initializer
            if tensor.name.endswith((WEIGHT, BIAS))
        }
        return Contents(tensors, _rule(graph))
    except (DecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is no whole ONNX file: {error}.") from error


def _array(tensor: onnx.TensorProto):
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise UserError(f"{tensor.name} lies in another file, which is not opened.")
    if tensor.data_type != onnx.TensorProto.FLOAT:
        raise UserError(
            f"weights must be float32; {tensor.name} is of type {tensor.data_type}. A "
            "quantised network cannot be trained."
        )
    return numpy_helper.to_array(tensor)


def _rule(graph: onnx.GraphProto) -> str:
    nodes = [(n.op_type, {a.name: a for a in n.attribute}) for n in graph.node]
    rules = {_pool_rule(given) for kind, given in nodes if kind == "MaxPool"}
    rules.discard("")
    if len(rules) != 1:
        raise UserError(
            "the pools of stride 2 must all see the edge or all leave it out; found "
            f"{', '.join(sorted(rules)) or 'none'}."
        )
    for kind, given in nodes:
        if kind == "LRN" and not _is_caffes(given):
            raise UserError(f"response normalisation must have Caffe's {NORM}.")
    return rules.pop()


def _pool_rule(given: dict[str, onnx.AttributeProto]) -> str:
    """ "symmetric", "floor", or nothing for a pool of stride 1."""
    strides = list(given["strides"].ints) if "strides" in given else [1, 1]
    if strides == [1, 1]:
        return ""
    pads = list(given["pads"].ints) if "pads" in given else [0, 0, 0, 0]
    ceil = "ceil_mode" in given and given["ceil_mode"].i == 1
    if any(pads[:2]):
        raise UserError(f"max pools are padded at the end alone; found pads {pads}.")
    return "symmetric" if ceil or any(pads) else "floor"


def _is_caffes(given: dict[str, onnx.AttributeProto]) -> bool:
    defaults = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}  # ONNX's own
    found = {name: (a.i or a.f) for name, a in given.items()}
    merged = defaults | found
    return all(
        abs(merged.get(n, 0) - value) <= 1e-6 * value for n, value in NORM.items()
    )
