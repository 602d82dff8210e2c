"""Core ML packages of anybody's making, written without coremltools."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from making_artifacts import LABELS, texts

from googlenet_keras.artifacts.coreml_package import (
    DATA_TYPES,
    MODEL_FILE,
    PACKAGE_DATA,
    WEIGHTS_FILE,
    WEIGHTS_REFERENCE,
    _model_class,
)

NUMBERS = {name: number for number, name in DATA_TYPES.items()}
FIELDS = {"int32": "ints", "bool": "bools", "float32": "floats"}


def mean_program():
    """The average of each channel and its softmax, in float16, to change and write."""
    return [
        step("cast", {"x": "image", "dtype": "fp16"}, "half", "float16"),
        step("reduce_mean", {"x": "half", "axes": np.int32([2, 3]),
                             "keep_dims": np.bool_(False)}, "means", "float16"),
        step("softmax", {"x": "means", "axis": np.int32(-1)}, "shares", "float16"),
        step("cast", {"x": "shares", "dtype": "fp32"}, "floats", "float32"),
        step("classify", {"probabilities": "floats"}, "classLabel", "str"),
    ]  # fmt: skip


def step(kind, inputs, output, type):
    """An operation; texts of `inputs` but dtype, mode and pad_type are tensors."""
    return SimpleNamespace(kind=kind, inputs=inputs, output=output, type=type)


def package(path: Path, change=lambda steps: steps, blobs=(), **inside) -> Path:
    """Writes the program that `change` makes of `mean_program()`.

    blobs: arrays; an input that is the slice `slice(i, i + 1)` is the i-th of them.
    """
    data, offsets = _weights(blobs)
    model = _model_class()(specificationVersion=7)
    model.description.output.add(name="classLabel")
    model.description.output.add(name="probabilities")
    for name, text in texts(**inside).items():
        model.description.metadata.userDefined.add(key=name, value=text)
    main = model.mlProgram.functions.add(key="main").value
    main.opset = "CoreML6"
    image = main.inputs.add(name="image")
    _set_type(image.type, "float32", (1, 3, 32, 32))
    block = main.block_specializations.add(key="CoreML6").value
    for made in change(mean_program()):
        _add(block.operations.add(), made, blobs, offsets)
    folder = path / PACKAGE_DATA
    (folder / WEIGHTS_FILE).parent.mkdir(parents=True)
    (folder / WEIGHTS_FILE).write_bytes(data)
    (folder / MODEL_FILE).write_bytes(model.SerializeToString())
    return path


def _weights(blobs):
    data, offsets = bytearray(64), []
    for blob in blobs:
        offsets.append(len(data))
        header = np.zeros(8, np.uint64)
        header[0], header[1], header[2] = 0xDEADBEEF, blob.nbytes, len(data) + 64
        data += header.tobytes() + blob.tobytes()
        data += bytes(-len(data) % 64)
    return bytes(data), offsets


def _set_type(type, name, shape):
    type.tensorType.dataType = NUMBERS[name]
    for side in shape:
        type.tensorType.dimensions.add().constant.size = side


def _add(operation, made, blobs, offsets):
    operation.type = made.kind
    for name, value in made.inputs.items():
        argument = operation.inputs.add(key=name).value
        for one in value if isinstance(value, list) else [value]:
            binding = argument.arguments.add()
            if isinstance(one, str) and name not in ("dtype", "mode", "pad_type"):
                binding.name = one
            elif isinstance(one, slice):
                _set_type(binding.value.type, blobs[one.start].dtype.name,
                          blobs[one.start].shape)  # fmt: skip
                binding.value.blobFileValue.fileName = WEIGHTS_REFERENCE
                binding.value.blobFileValue.offset = offsets[one.start]
            else:
                _set_value(binding.value, one)
    if made.kind == "classify":
        binding = operation.inputs.add(key="classes").value.arguments.add()
        for label in LABELS:
            _set_value(binding.value.immediateValue.list.values.add(), label)
    _set_type(operation.outputs.add(name=made.output).type, made.type, ())


def _set_value(value, one):
    if isinstance(one, str):
        _set_type(value.type, "str", ())
        value.immediateValue.tensor.strings.values.append(one)
        return
    array = np.asarray(one)
    _set_type(value.type, array.dtype.name, array.shape)
    tensor = value.immediateValue.tensor
    if array.dtype == np.float16:
        tensor.bytes.values = array.tobytes()
    else:
        getattr(tensor, FIELDS[array.dtype.name]).values.extend(array.ravel().tolist())
