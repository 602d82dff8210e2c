"""Which layers of an int8 file lose most, by running the file and the float network.

Each convolution and dense layer of the network computes in float what the file's
operator computed from the same input. So an error is a layer's own: of its weights and
of the range of its outputs.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.artifacts.tensors import IMAGE_INPUT
from googlenet_keras.artifacts.tflite_schema import unpack
from googlenet_keras.exporting.converters import Source, load_source
from googlenet_keras.exporting.whole_photos import to_whole_photos

MEASURED_IMAGES = 8
NAMED_LAYERS = 5


class _Operator(NamedTuple):
    """An operator of the file that is a layer of the network."""

    layer: keras.layers.Layer
    has_relu: bool
    input: int  # tensors, as the next
    output: int


def worst_layers(source: Source, path: Path) -> dict[str, float]:
    """The layers of an int8 file with the largest errors, largest first, by name.

    An error is the part of a channel's signal that is lost, RMS error / RMS, at most 1,
    in the mean over the layer's channels that are not 0. Calibration images are run.
    """
    images = np.asarray(source.calibration_images()[:MEASURED_IMAGES], np.uint8)
    _, network = load_source(replace(source, whole_photos=None))
    if source.whole_photos:
        images = to_whole_photos(images, source.whole_photos)
    operators = [*_operators(path, network)]
    squares: dict[str, Any] = {}  # of error and signal, [2, channels], by layer
    interpreter = _open(path)
    for image in images:
        _run(interpreter, image)
        for op in operators:
            found = _square_sums(op, interpreter)
            if found is not None:
                squares[op.layer.name] = squares.get(op.layer.name, 0) + found
    errors = {name: _lost(*sums) for name, sums in squares.items()}
    return dict(sorted(errors.items(), key=lambda x: -x[1])[:NAMED_LAYERS])


def _open(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=path.read_bytes(),
        experimental_preserve_all_tensors=True,
        # a delegate keeps no tensors
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    return interpreter


def _run(interpreter: Any, image: np.ndarray) -> None:
    inputs = interpreter.get_signature_runner().get_input_details()
    interpreter.set_tensor(inputs[IMAGE_INPUT]["index"], image[None])
    interpreter.invoke()


def _operators(path: Path, network: keras.Model) -> Iterator[_Operator]:
    """The operators of the file that are convolutions or dense layers."""
    from ai_edge_litert import schema_py_generated as schema

    model, relu = unpack(path.read_bytes()), schema.ActivationFunctionType.RELU
    graph, kinds = model.subgraphs[0], schema.BuiltinOperator
    layers = {layer.name: layer for layer in network.layers if layer.weights}
    for step in graph.operators:
        code = model.operatorCodes[step.opcodeIndex].builtinCode
        if code not in (kinds.CONV_2D, kinds.FULLY_CONNECTED):
            continue
        name = _layer_name(graph.tensors[step.outputs[0]].name.decode(), layers)
        if name:
            fused = step.builtinOptions.fusedActivationFunction == relu
            yield _Operator(layers[name], fused, step.inputs[0], step.outputs[0])


def _layer_name(tensor: str, layers: dict[str, Any]) -> str | None:
    """The first layer in a tensor's name, which lists what the converter has fused."""
    parts = re.split("[/;]", tensor)
    names = (re.sub(r"(_relu)?(_\d+)?$", "", part) for part in parts)
    both = (name for pair in zip(parts, names, strict=True) for name in pair)
    return next((name for name in both if name in layers), None)


def _square_sums(op: _Operator, interpreter: Any) -> np.ndarray | None:
    """Squares of error and signal, [2, channels]; None if the shapes do not fit."""
    details = {x["index"]: x for x in interpreter.get_tensor_details()}
    given, found = (
        _to_float(interpreter.get_tensor(index), details[index])
        for index in (op.input, op.output)
    )
    expected = op.layer(tf.constant(given)).numpy()
    if expected.shape != found.shape:  # the file pads elsewhere
        return None
    if op.has_relu:
        expected = np.maximum(expected, 0)
    axes = tuple(range(expected.ndim - 1))
    return np.stack([((found - expected) ** 2).sum(axes), (expected**2).sum(axes)])


def _to_float(numbers: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, zero = details["quantization"]
    if not scale:
        return numbers.astype(np.float32)
    return (numbers.astype(np.float32) - zero) * np.float32(scale)


def _lost(error: np.ndarray, signal: np.ndarray) -> float:
    alive = signal > 0
    if not alive.any():
        return 0.0
    return float(np.minimum(1, np.sqrt(error[alive] / signal[alive])).mean())
