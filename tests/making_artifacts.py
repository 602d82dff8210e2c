"""Small .tflite and .onnx files of anybody's making: an average of each channel.

Each takes `image` and gives `probabilities`, the softmax of three channels' means. And
copies of exported files.
"""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from making import two_modules

from googlenet_keras.artifacts.artifact import Contents

LABELS = ("red", "green", "blue")
GEOMETRY = {"height": 32, "width": 32, "crop_fraction": 1.0}
Type = schema.TensorType


def texts(labels=LABELS, preprocessing=GEOMETRY):
    """What export.py puts into a file."""
    description = {
        "architecture": two_modules().to_json(), "preprocessing": preprocessing
    }  # fmt: skip
    return {
        "labels.txt": "".join(f"{label}\n" for label in labels),
        "classifier.json": json.dumps(description),
    }


def tensor(name, shape, type=Type.FLOAT32, buffer=0):
    quantization = schema.QuantizationParametersT()
    return schema.TensorT(
        name=name, shape=shape, type=type, buffer=buffer, quantization=quantization
    )


def operator(kind, inputs, outputs, options=None):
    """(kind, inputs, outputs, options) of an operator of a graph."""
    return kind, inputs, outputs, options


MEAN = operator("MEAN", [0, 2], [3], schema.ReducerOptionsT())
SOFTMAX = operator("SOFTMAX", [3], [1], schema.SoftmaxOptionsT(beta=1.0))


def mean_model():
    """The graph, its constants' bytes and its signature, to change and to write."""
    return {
        "tensors": [
            tensor("a", [1, 32, 32, 3]),
            tensor("b", [1, 3]),
            tensor("axes", [2], Type.INT32, 1),
            tensor("means", [1, 3]),
        ],
        "operators": [MEAN, SOFTMAX],
        "constants": [np.array([1, 2], np.int32).tobytes()],
        "inputs": {"image": 0},
        "outputs": {"probabilities": 1},
        "graphs": [],
    }


def tflite(path: Path, change=lambda model: None, **inside) -> Path:
    """Writes the model that `change` made of `mean_model()`, with `texts(**inside)`."""
    model = mean_model()
    change(model)
    graphs = [
        (model["tensors"], model["operators"], [*model["inputs"].values()],
         [*model["outputs"].values()]),
        *model["graphs"],
    ]  # fmt: skip
    kinds = sorted({kind for _, steps, *_ in graphs for kind, *_ in steps})
    codes = [getattr(schema.BuiltinOperator, kind) for kind in kinds]
    signature = schema.SignatureDefT(signatureKey="serving_default")
    signature.inputs, signature.outputs = (
        [schema.TensorMapT(name=n, tensorIndex=i) for n, i in model[ends].items()]
        for ends in ("inputs", "outputs")
    )
    made = schema.ModelT(
        version=3,
        operatorCodes=[
            schema.OperatorCodeT(deprecatedBuiltinCode=min(c, 127), builtinCode=c)
            for c in codes
        ],
        subgraphs=[
            schema.SubGraphT(
                tensors=tensors, inputs=inputs, outputs=outputs,
                operators=[_operator(kinds, *step) for step in steps],
            )
            for tensors, steps, inputs, outputs in graphs
        ],
        buffers=[
            schema.BufferT(data=list(data) or None)
            for data in (b"", *model["constants"])
        ],
        signatureDefs=[signature],
    )  # fmt: skip
    builder = flatbuffers.Builder()
    builder.Finish(made.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts(**inside).items():
            archive.writestr(name, text)
    return path


def _operator(kinds, kind, inputs, outputs, options):
    made = schema.OperatorT(
        opcodeIndex=kinds.index(kind), inputs=inputs, outputs=outputs
    )
    if options is not None:
        name = type(options).__name__.removesuffix("T")
        made.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        made.builtinOptions = options
    return made


def onnx_file(path: Path, change=lambda graph: None, **inside) -> Path:
    """The same in ONNX; change: of its GraphProto."""
    make, float32 = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [
            make.make_node("ReduceMean", ["image"], ["means"], axes=[1, 2], keepdims=0),
            make.make_node("Softmax", ["means"], ["probabilities"]),
        ],
        "means",
        [make.make_tensor_value_info("image", float32, ["batch", 32, 32, 3])],
        [make.make_tensor_value_info("probabilities", float32, ["batch", 3])],
    )
    change(graph)
    model = make.make_model(
        graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8
    )
    make.set_model_props(model, texts(**inside))
    path.write_bytes(model.SerializeToString())
    return path


def recalibrated(model, folder, calibration, labels=None):
    """A copy in `folder` of the exported file with another calibration, and labels."""
    with zipfile.ZipFile(model) as packed:
        start = min(entry.header_offset for entry in packed.infolist())
    contents = replace(Contents.read(model), calibration=calibration)
    if labels:
        contents = replace(contents, labels=labels)
    copy = folder / model.name
    copy.write_bytes(contents.add_to_tflite(model.read_bytes()[:start]))
    return copy
