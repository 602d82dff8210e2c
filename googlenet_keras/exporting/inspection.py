"""What is in a TFLite file: its operators, what stayed float, what delegates refuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# tensorflow/lite/tools/versioning/gpu_compatibility.cc, of those that can occur here
GPU_TAKES = frozenset(
    [
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "CONV_2D",
        "DEQUANTIZE",
        "FULLY_CONNECTED",
        "MAX_POOL_2D",
        "MEAN",
        "MUL",
        "PAD",
        "PADV2",
        "QUANTIZE",
        "RESHAPE",
        "RSQRT",
        "SOFTMAX",
        "SQRT",
        "SQUARE",
        "SUB",
    ]
)
CASTS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class Operator:
    """One step of the graph: its kind, the tensors it makes and whether any is float.

    wide: whether any is int16, which GPU delegates do not take.
    """

    kind: str
    outputs: tuple[str, ...]
    floating: bool
    wide: bool


def operators(data: bytes) -> list[Operator]:
    """The steps of a TFLite file, in order."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = {v: k for k, v in vars(schema.BuiltinOperator).items() if k[0] != "_"}
    model = schema.Model.GetRootAsModel(data, 0)
    graph = model.Subgraphs(0)

    def operator(number: int) -> Operator:
        step = graph.Operators(number)
        code = model.OperatorCodes(step.OpcodeIndex())
        made = [graph.Tensors(i) for i in step.OutputsAsNumpy()]
        kind = kinds[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if kind == "CUSTOM":
            kind = code.CustomCode().decode()
        names = tuple(tensor.Name().decode() for tensor in made)
        floating = any(t.Type() == schema.TensorType.FLOAT32 for t in made)
        wide = any(t.Type() == schema.TensorType.INT16 for t in made)
        return Operator(kind, names, floating, wide)

    return [operator(number) for number in range(graph.OperatorsLength())]


def outputs_of(data: bytes, layers: Iterable[str]) -> list[str]:
    """The tensors that the layers of those names make."""
    wanted = tuple(layers)
    return [
        name
        for operator in operators(data)
        for name in operator.outputs
        if any(layer in name for layer in wanted)
    ]


def inspected(data: bytes, norms: Iterable[str], quantised: bool) -> dict[str, Any]:
    """What the report says of a file.

    operators: how many of each kind. not_quantised: in an int8 file, what computes in
    float. gpu_refuses: kinds that the GPU delegate leaves to the CPU. npu_refuses: what
    an integer-only accelerator cannot compute. Raises ValueError for an operator that
    needs Flex, and for float in an int8 file outside `norms`.
    """
    found = operators(data)
    flex = [operator.kind for operator in found if "Flex" in operator.kind]
    if flex:
        raise ValueError(f"it needs TensorFlow's own operators: {', '.join(flex)}")
    floating = list(_floating(found)) if quantised else []
    stray = [o for o in floating if not any(n in o.outputs[0] for n in norms)]
    if stray:
        kinds = ", ".join(sorted({operator.kind for operator in stray}))
        raise ValueError(f"it is not full int8: {kinds} compute in float")
    kinds = [operator.kind for operator in found]
    npu = {o.kind for o in found if o.floating}
    return {
        "operators": dict(Counter(kinds)),
        "not_quantised": [o.outputs[0] for o in floating],
        "gpu_refuses": sorted(
            {o.kind for o in found if o.wide} | set(kinds) - GPU_TAKES
        ),
        "npu_refuses": sorted(npu),
    }


def _floating(found: Iterable[Operator]) -> Iterator[Operator]:
    return (o for o in found if o.floating and o.kind not in CASTS)
