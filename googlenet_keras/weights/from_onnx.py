"""Reads the ONNX model zoo's two files: GoogLeNet, and Inception v1 from Caffe2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from googlenet_keras.errors import UserError
from googlenet_keras.weights.weight_file import WeightFile, parse_in_child

if TYPE_CHECKING:
    import onnx

CAFFE_LRN = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}  # Caffe's lrn_param
ONNX_LRN_DEFAULTS = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}  # ONNX's own
GOOGLENET_OPERATORS = {
    *("Conv", "Relu", "MaxPool", "LRN", "Concat", "AveragePool", "GlobalAveragePool"),
    *("Dropout", "Reshape", "Flatten", "Gemm", "Softmax", "Constant", "Identity"),
}


def read(path: Path) -> WeightFile:
    """Reads the weights by Caffe's names, and the padding rule of the graph.

    The rule is "symmetric" if pools of stride 2 see the edge (Caffe), "floor" if they
    leave it out (Caffe2's conversion). Raises UserError for anything else; no file
    beside it is opened.
    """
    return parse_in_child(parse_onnx, path, "GoogLeNet in ONNX")


def parse_onnx(path: Path) -> WeightFile:
    """Parses an ONNX file in this process; a damaged file may raise any error."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path, load_external_data=False).graph
    tensors: dict[str, np.ndarray] = {}
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT64:  # the shape of a Reshape
            continue
        name = f"{tensor.name!r:.80}"
        if tensor.name in tensors:
            raise UserError(f"{name} is there twice.")
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise UserError(f"{name} lies in another file, which is not opened.")
        if tensor.data_type != onnx.TensorProto.FLOAT:
            kinds = {number: kind for kind, number in onnx.TensorProto.DataType.items()}
            raise UserError(
                f"weights must be float32; {name} are "
                f"{kinds.get(tensor.data_type, tensor.data_type)}. A quantized network "
                "cannot be trained."
            )
        try:
            tensors[tensor.name] = numpy_helper.to_array(tensor)
        except ValueError as error:
            raise UserError(f"the numbers of {name} are damaged: {error}") from error
    rules = {rule for node in graph.node if (rule := _padding_rule(node))}
    if len(rules) != 1:
        raise UserError(
            "its pools of stride 2 must all see the edge or all leave it out; found "
            f"{', '.join(sorted(rules)) or 'none'}."
        )
    return WeightFile(tensors, rules.pop())


def _padding_rule(node: onnx.NodeProto) -> str:
    """Returns "symmetric" or "floor" for a pool of stride 2, "" for another operator.

    Raises UserError for an operator that GoogLeNet does not have, or not like that.
    """
    import onnx

    if node.op_type not in GOOGLENET_OPERATORS:
        raise UserError(f"GoogLeNet has no operator {node.op_type!r:.80}.")
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    auto_pad = given.get("auto_pad", b"NOTSET").decode()
    if auto_pad != "NOTSET":
        raise UserError(f"padding must be in numbers; found {auto_pad!r:.80}.")
    if node.op_type == "LRN":
        found = {**ONNX_LRN_DEFAULTS, **given}
        if any(abs(found[key] - n) > 1e-6 * n for key, n in CAFFE_LRN.items()):
            raise UserError(f"response normalization must have Caffe's {CAFFE_LRN}.")
    if node.op_type != "MaxPool" or given.get("strides", [1, 1]) == [1, 1]:
        return ""
    pads = given.get("pads") or [0, 0, 0, 0]
    if any(pads[:2]):
        raise UserError(f"max pools are padded at the end only; found pads {pads}.")
    return "symmetric" if given.get("ceil_mode") == 1 or any(pads) else "floor"
