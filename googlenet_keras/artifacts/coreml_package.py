"""Reads Core ML packages (.mlpackage) with an ML Program, without coremltools.

Its own reader, so that any machine can read a package at once: coremltools imports
TensorFlow, and opens packages on macOS only. Formats: Apple's Model.proto and MIL.proto
(apple.github.io/coremltools/mlmodel), and the weight file of coremltools'
MILBlob/Blob/StorageFormat.hpp.
"""

import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.artifacts.protobuf_schema import message_class

PACKAGE_DATA = Path("Data", "com.apple.CoreML")
MODEL_FILE, WEIGHTS_FILE = "model.mlmodel", Path("weights", "weight.bin")
WEIGHTS_REFERENCE = f"@model_path/{WEIGHTS_FILE.as_posix()}"
MAIN_FUNCTION = "main"
MODEL_FIELDS = """
Model: optional int32 specificationVersion = 1
Model: optional Description description = 2
Model: optional Program mlProgram = 502
Description: repeated Feature input = 1
Description: repeated Feature output = 10
Description: optional Metadata metadata = 100
Feature: optional string name = 1
Metadata: repeated TextEntry userDefined = 100
TextEntry: optional string key = 1
TextEntry: optional string value = 2
Program: repeated FunctionEntry functions = 2
FunctionEntry: optional string key = 1
FunctionEntry: optional Function value = 2
Function: repeated NamedType inputs = 1
Function: optional string opset = 2
Function: repeated BlockEntry block_specializations = 3
BlockEntry: optional string key = 1
BlockEntry: optional Block value = 2
Block: repeated Operation operations = 3
Operation: optional string type = 1
Operation: repeated ArgumentEntry inputs = 2
Operation: repeated NamedType outputs = 3
Operation: repeated ValueEntry attributes = 5
ArgumentEntry: optional string key = 1
ArgumentEntry: optional Argument value = 2
Argument: repeated Binding arguments = 1
Binding: optional string name = 1
Binding: optional Value value = 2
ValueEntry: optional string key = 1
ValueEntry: optional Value value = 2
NamedType: optional string name = 1
NamedType: optional Type type = 2
Type: optional TensorType tensorType = 1
TensorType: optional int32 dataType = 1
TensorType: repeated Dimension dimensions = 3
Dimension: optional Constant constant = 1
Constant: optional uint64 size = 1
Value: optional Type type = 2
Value: optional Immediate immediateValue = 3
Value: optional BlobFile blobFileValue = 5
Immediate: optional TensorValue tensor = 1
Immediate: optional ListValue list = 3
ListValue: repeated Value values = 1
BlobFile: optional string fileName = 1
BlobFile: optional uint64 offset = 2
TensorValue: optional Floats floats = 1
TensorValue: optional Ints ints = 2
TensorValue: optional Bools bools = 3
TensorValue: optional Strings strings = 4
TensorValue: optional Raw bytes = 7
Floats: repeated float values = 1
Ints: repeated int32 values = 1
Bools: repeated bool values = 1
Strings: repeated string values = 1
Raw: optional bytes values = 1
"""
DATA_TYPES = {  # of MIL.proto, that a program of ours can have
    1: "bool", 2: "str", 10: "float16", 11: "float32", 21: "int8", 23: "int32",
    31: "uint8",
}  # fmt: skip
BLOB_HEADER = "<IIQQ"  # sentinel, data type, bytes, offset of the data in the file
BLOB_SENTINEL = 0xDEADBEEF


class Name(str):
    """The name of a tensor, and no text."""


@dataclass(frozen=True)
class Step:
    """An operation of a program."""

    kind: str
    inputs: dict[str, list[Any]]  # by parameter: names of tensors, or constants
    attributes: dict[str, Any]
    outputs: list[tuple[str, str]]  # (name, data type)


@dataclass(frozen=True)
class Package:
    """The parts of a package that are needed to run it."""

    specification: int  # version, from which Core ML's release follows
    texts: dict[str, str]  # that its maker added
    inputs: dict[str, tuple[str, tuple[int, ...]]]  # (data type, shape) by name
    outputs: list[str]  # in the description
    steps: list[Step]


@cache
def _model_class() -> Any:
    return message_class(MODEL_FIELDS, "Model")


def read_model(path: Path) -> Any:
    """The message Model of a package. Raises an error of any kind if it is damaged."""
    data = (path / PACKAGE_DATA / MODEL_FILE).read_bytes()
    return _model_class().FromString(data)


def read_metadata(path: Path) -> dict[str, str]:
    """The texts that the maker of a package added, by name."""
    entries = read_model(path).description.metadata.userDefined
    return {entry.key: entry.value for entry in entries}


def read_package(path: Path) -> Package:
    """Reads the program with its weights. Raises ValueError if it is none of ours."""
    model = read_model(path)
    weights_path = path / PACKAGE_DATA / WEIGHTS_FILE
    weights = weights_path.read_bytes() if weights_path.exists() else b""
    functions = {entry.key: entry.value for entry in model.mlProgram.functions}
    if MAIN_FUNCTION not in functions:
        raise ValueError("it has no ML Program.")
    main = functions[MAIN_FUNCTION]
    blocks = {entry.key: entry.value for entry in main.block_specializations}
    return Package(
        model.specificationVersion,
        {entry.key: entry.value for entry in model.description.metadata.userDefined},
        {tensor.name: _tensor_type(tensor.type) for tensor in main.inputs},
        [feature.name for feature in model.description.output],
        [_to_step(operation, weights) for operation in blocks[main.opset].operations],
    )


def _to_step(operation: Any, weights: bytes) -> Step:
    return Step(
        operation.type,
        {
            entry.key: [
                Name(binding.name)
                if binding.name
                else _to_value(binding.value, weights)
                for binding in entry.value.arguments
            ]
            for entry in operation.inputs
        },
        {e.key: _to_value(e.value, weights) for e in operation.attributes},
        [(tensor.name, _tensor_type(tensor.type)[0]) for tensor in operation.outputs],
    )


def _tensor_type(type: Any) -> tuple[str, tuple[int, ...]]:
    tensor = type.tensorType
    shape = tuple(side.constant.size for side in tensor.dimensions)
    return DATA_TYPES.get(tensor.dataType, "another type"), shape


def _to_value(value: Any, weights: bytes) -> Any:
    """A value: an array, or a list of texts. Raises ValueError for other kinds."""
    if value.immediateValue.HasField("list"):
        return [_to_value(v, weights) for v in value.immediateValue.list.values]
    kind, shape = _tensor_type(value.type)
    if kind not in DATA_TYPES.values():
        raise ValueError("it has a constant of a type that no program of ours has.")
    if value.HasField("blobFileValue"):
        found = _read_blob(value.blobFileValue, weights, kind)
    else:
        found = _read_immediate(value.immediateValue.tensor, kind)
    if kind == "str":
        return found[0]
    return found.reshape(shape)


def _read_immediate(tensor: Any, kind: str) -> Any:
    if tensor.HasField("bytes"):
        return np.frombuffer(tensor.bytes.values, kind)
    for name in ("floats", "ints", "bools"):
        if tensor.HasField(name):
            return np.array(getattr(tensor, name).values, kind)
    if tensor.HasField("strings"):
        return list(tensor.strings.values)
    return np.zeros(0, kind)


def _read_blob(reference: Any, weights: bytes, kind: str) -> np.ndarray:
    if reference.fileName != WEIGHTS_REFERENCE:
        raise ValueError(f"its weights must be in {WEIGHTS_REFERENCE}.")
    header = struct.unpack_from(BLOB_HEADER, weights, reference.offset)
    sentinel, _, size, start = header
    data = weights[start : start + size]
    if sentinel != BLOB_SENTINEL or len(data) != size:
        raise ValueError("its weights are damaged.")
    return np.frombuffer(data, kind)
