"""Inspects the operators of a TFLite file: which are float, which run on a GPU."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from googlenet_keras.exporting.report import FormatRow

# tensorflow/lite/tools/versioning/gpu_compatibility.cc, of those that can occur here
GPU_OPERATORS = frozenset([
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEQUANTIZE",
    "FULLY_CONNECTED", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "PADV2", "QUANTIZE",
    "RESHAPE", "RSQRT", "SOFTMAX", "SQRT", "SQUARE", "SUB",
])  # fmt: skip
CAST_OPERATORS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class Operator:
    """An operator of the graph: its kind and its output tensors.

    is_float: whether it gives any float32. is_int16: whether it gives any int16, which
    GPU delegates do not take.
    """

    kind: str
    outputs: tuple[str, ...]
    is_float: bool
    is_int16: bool


def operators(data: bytes) -> list[Operator]:
    """The operators of a TFLite file, in order."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = {v: k for k, v in vars(schema.BuiltinOperator).items() if k[0] != "_"}
    model = schema.Model.GetRootAsModel(data, 0)
    graph = model.Subgraphs(0)

    def operator(number: int) -> Operator:
        step = graph.Operators(number)
        code = model.OperatorCodes(step.OpcodeIndex())
        tensors = [graph.Tensors(i) for i in step.OutputsAsNumpy()]
        kind = kinds[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if kind == "CUSTOM":
            kind = code.CustomCode().decode()
        types = {tensor.Type() for tensor in tensors}
        return Operator(
            kind,
            tuple(tensor.Name().decode() for tensor in tensors),
            is_float=schema.TensorType.FLOAT32 in types,
            is_int16=schema.TensorType.INT16 in types,
        )

    return [operator(number) for number in range(graph.OperatorsLength())]


def tensors_of_layers(data: bytes, layers: Iterable[str]) -> list[str]:
    """The names of the output tensors of `layers`."""
    names = tuple(layers)
    return [
        output
        for operator in operators(data)
        for output in operator.outputs
        if any(name in output for name in names)
    ]


def inspect_tflite(
    data: bytes, response_norms: Iterable[str], is_integer: bool
) -> FormatRow:
    """Inspects a TFLite file: its operators, and those that delegates do not support.

    operators: how many of each kind. not_quantised: in an int8 file, what computes in
    float. gpu_refuses: kinds that the GPU delegate leaves to the CPU. npu_refuses: what
    an integer-only accelerator cannot compute. Raises ValueError for an operator that
    needs Flex, and for float in an int8 file outside `response_norms`.
    """
    steps = operators(data)
    flex = [step.kind for step in steps if "Flex" in step.kind]
    if flex:
        raise ValueError(f"it needs TensorFlow's own operators: {', '.join(flex)}")
    in_float = [
        s for s in steps if is_integer and s.is_float and s.kind not in CAST_OPERATORS
    ]
    norms = tuple(response_norms)
    stray = {s.kind for s in in_float if not any(n in s.outputs[0] for n in norms)}
    if stray:
        kinds = ", ".join(sorted(stray))
        raise ValueError(f"it is not full int8: {kinds} compute in float")
    return {
        "operators": dict(Counter(step.kind for step in steps)),
        "not_quantised": [step.outputs[0] for step in in_float],
        "gpu_refuses": sorted(
            {s.kind for s in steps if s.is_int16 or s.kind not in GPU_OPERATORS}
        ),
        "npu_refuses": sorted({step.kind for step in steps if step.is_float}),
    }
