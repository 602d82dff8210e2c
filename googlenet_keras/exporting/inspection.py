"""Inspects the operators of a TFLite file: which are float, which run on a GPU."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from googlenet_keras.artifacts.tflite_schema import unpack
from googlenet_keras.exporting.report import FormatRow

# tensorflow/lite/tools/versioning/gpu_compatibility.cc, of those that can occur here
GPU_OPERATORS = frozenset([
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEQUANTIZE",
    "FULLY_CONNECTED", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "PADV2", "QUANTIZE",
    "RESHAPE", "RSQRT", "SOFTMAX", "SQRT", "SQUARE", "STRIDED_SLICE", "SUB",
])  # fmt: skip
CAST_OPERATORS = ("QUANTIZE", "DEQUANTIZE")
# The converter's own entry counts operators as they were before int16x8; ADD, MEAN and
# PAD have int16 from here on (tensorflow/lite/tools/versioning/runtime_version.cc).
INT16_MIN_VERSION = "2.4.0"


@dataclass(frozen=True)
class Operator:
    """An operator of the graph."""

    kind: str
    outputs: list[str]  # tensors
    is_float: bool  # gives any float32
    is_int16: bool  # gives any int16, which GPU delegates do not take


def operators(data: bytes) -> list[Operator]:
    """The operators of a TFLite file, in order."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = {v: k for k, v in vars(schema.BuiltinOperator).items() if k[0] != "_"}
    model = schema.Model.GetRootAsModel(data, 0)
    graph = schema.SubGraphT.InitFromObj(model.Subgraphs(0))
    found = []
    for step in graph.operators:
        code = model.OperatorCodes(step.opcodeIndex)
        kind = kinds[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if kind == "CUSTOM":
            kind = code.CustomCode().decode()
        tensors = [graph.tensors[i] for i in step.outputs]
        names, types = [t.name.decode() for t in tensors], {t.type for t in tensors}
        is_float = schema.TensorType.FLOAT32 in types
        found.append(Operator(kind, names, is_float, schema.TensorType.INT16 in types))
    return found


def inspect_tflite(data: bytes, norms: Sequence[str], is_integer: bool) -> FormatRow:
    """Inspects a TFLite file: its operators, and those that delegates do not support.

    operators: how many of each kind. min_tflite_version: the first TensorFlow Lite that
    has their versions. not_quantised: in an int8 file, what computes in
    float. gpu_refuses: kinds that the GPU delegate leaves to the CPU. npu_refuses: what
    an integer-only accelerator cannot compute. Raises ValueError for an operator that
    needs Flex, and for float in an int8 file outside the response norms `norms`.
    """
    steps = operators(data)
    if flex := [step.kind for step in steps if "Flex" in step.kind]:
        raise ValueError(f"it needs TensorFlow's own operators: {', '.join(flex)}")
    in_float = [
        s for s in steps if is_integer and s.is_float and s.kind not in CAST_OPERATORS
    ]
    stray = {s.kind for s in in_float if not any(n in s.outputs[0] for n in norms)}
    if stray:
        kinds = ", ".join(sorted(stray))
        raise ValueError(f"it is not full int8: {kinds} compute in float")
    refused = {s.kind for s in steps if s.is_int16 or s.kind not in GPU_OPERATORS}
    return {
        "operators": dict(Counter(step.kind for step in steps)),
        "min_tflite_version": min_tflite_version(data),
        "not_quantised": [step.outputs[0] for step in in_float],
        "gpu_refuses": sorted(refused),
        "npu_refuses": sorted({step.kind for step in steps if step.is_float}),
    }


def min_tflite_version(data: bytes) -> str | None:
    """The first TensorFlow Lite that runs the file; None if the file does not say."""
    model = unpack(data)
    has_int16 = any(step.is_int16 for step in operators(data))
    found = [INT16_MIN_VERSION] if has_int16 else []
    for entry in model.metadata or ():
        if entry.name == b"min_runtime_version":
            found.append(bytes(model.buffers[entry.buffer].data).rstrip(b"\0").decode())
    return max(found, key=lambda text: [*map(int, text.split("."))], default=None)
