"""Interprets the ML Program of a Core ML package with NumPy.

Core ML runs on Apple's machines only. So that what was saved can be checked elsewhere,
this computes the program's operations as the MIL specification has them
(apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html): each
operation in float32, its result rounded to float16 where the program says so. Only
operations that a GoogLeNet's program has are known. Its speed is not Core ML's.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.artifacts.coreml_package import Name, Package, Step, read_package
from googlenet_keras.artifacts.tensors import (
    IMAGE_INPUT,
    PROBABILITIES_OUTPUT,
    Tensor,
    check_tensors,
)

CLASSIFY, CONSTANT = "classify", "const"
DEQUANTIZE = "constexpr_affine_dequantize"
SLICE_MASKS = ("begin_mask", "end_mask", "squeeze_mask")


class CoreMLProgram:
    """A Core ML package whose saved program is interpreted, one image at a time."""

    step = 0.0

    def __init__(self, path: Path, threads: int) -> None:
        """threads: ignored; NumPy's matrix products choose their own."""
        package = read_package(path)
        self._steps, self._known = _fold_constants(package)
        classify = [step for step in package.steps if step.kind == CLASSIFY]
        if [step.kind for step in package.steps[-1:]] != [CLASSIFY]:
            raise ValueError("its program does not end with the classes.")
        self._answer = classify[0].inputs["probabilities"][0]
        self.labels: tuple[str, ...] = tuple(classify[0].inputs["classes"][0])
        self.size, self.classes = check_tensors(*_ends(package, len(self.labels)))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Computes the probabilities."""
        return np.concatenate([self._run(image[None]) for image in images])

    def _run(self, image: np.ndarray) -> np.ndarray:
        # a pixel buffer of Core ML has no fractions
        pixels = np.round(image).astype(np.float32).transpose(0, 3, 1, 2)
        tensors = {**self._known, IMAGE_INPUT: pixels}
        for step in self._steps:
            _compute(step, tensors)
        return tensors[self._answer]


def _ends(
    package: Package, classes: int
) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    """The inputs, channels last, and the outputs of numbers."""
    inputs = {
        name: Tensor(type, [*shape[:1], *shape[2:], *shape[1:2]])
        for name, (type, shape) in package.inputs.items()
    }
    numbers = [name for name in package.outputs if name == PROBABILITIES_OUTPUT]
    return inputs, {name: Tensor("float32", [1, classes]) for name in numbers}


def _fold_constants(package: Package) -> tuple[list[Step], dict[str, Any]]:
    """The steps that depend on the image, and the constants of the others by name."""
    steps, known = [], {}
    for step in package.steps:
        if step.kind == CONSTANT:
            known[step.outputs[0][0]] = _widen(step.attributes["val"])
        elif step.kind == DEQUANTIZE:
            known[step.outputs[0][0]] = _dequantize(**step.attributes)
        elif step.kind in OPERATIONS:
            steps.append(step)
        elif step.kind != CLASSIFY:
            raise ValueError(f"its operation {step.kind!r:.80} is not known here.")
    return steps, known


def _widen(value: Any) -> Any:
    is_half = isinstance(value, np.ndarray) and value.dtype == np.float16
    return value.astype(np.float32) if is_half else value


def _dequantize(
    *, quantized_data: Any, zero_point: Any, scale: Any, axis: Any, **_: Any
) -> np.ndarray:
    shape = [1] * quantized_data.ndim
    shape[int(axis)] = -1
    scale, zero = (_along(x, shape).astype(np.float32) for x in (scale, zero_point))
    values = (quantized_data.astype(np.float32) - zero) * scale
    return _round_to_half(values)


def _along(vector: np.ndarray, shape: list[int]) -> np.ndarray:
    return vector.reshape(shape) if vector.ndim else vector


def _round_to_half(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what overflows becomes infinite, as in Core ML
        return x.astype(np.float16).astype(np.float32)


def _compute(step: Step, tensors: dict[str, Any]) -> None:
    """Computes a step from `tensors`, and adds its output to them."""
    inputs = {
        name: [tensors[v] if isinstance(v, Name) else _widen(v) for v in values]
        for name, values in step.inputs.items()
    }
    single = {n: v if n == "values" else v[0] for n, v in inputs.items()}
    found = OPERATIONS[step.kind](**single)
    ((name, kind),) = step.outputs
    if kind == "float16" and step.kind not in EXACT_OPERATIONS:
        found = _round_to_half(found)
    tensors[name] = found


# what follows takes the operations' parameters by their names in MIL


def _conv(
    *, x: Any, weight: Any, strides: Any, pad_type: str, pad: Any, dilations: Any,
    groups: Any, bias: Any = None,
) -> np.ndarray:  # fmt: skip
    if int(groups) != 1 or set(dilations.tolist()) != {1}:
        raise ValueError("a convolution with groups or dilations is not known here.")
    kernel = weight.shape[2:]
    sides = _sides(x.shape[2:], kernel, strides, pad_type, pad)
    windows = _windows(_pad(x, sides, 0.0), kernel, strides)
    _, height, width, *_ = windows.shape
    columns = windows.transpose(0, 3, 4, 1, 2).reshape(-1, height * width)
    total = weight.reshape(len(weight), -1) @ columns
    if bias is not None:
        total += bias[:, None]
    return total.reshape(1, -1, height, width)


def _max_pool(
    *, x: Any, kernel_sizes: Any, strides: Any, pad_type: str, pad: Any, ceil_mode: Any
) -> np.ndarray:
    if bool(ceil_mode):
        raise ValueError("a pooling with ceil_mode is not known here.")
    kernel = tuple(kernel_sizes.tolist())
    sides = _sides(x.shape[2:], kernel, strides, pad_type, pad)
    windows = _windows(_pad(x, sides, -np.inf), kernel, strides)
    places = [windows[..., i, j] for i in range(kernel[0]) for j in range(kernel[1])]
    return np.maximum.reduce(places)[None]


def _sides(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: Any,
    pad_type: str,
    pad: Any,
) -> list[tuple[int, int]]:
    """Zeros before and after height and width."""
    if pad_type == "valid":
        return [(0, 0), (0, 0)]
    if pad_type == "custom":
        top, bottom, left, right = pad.tolist()
        return [(top, bottom), (left, right)]
    if pad_type != "same":
        raise ValueError(f"padding {pad_type!r:.80} is not known here.")
    totals = [
        max((-(-n // s) - 1) * s + k - n, 0)
        for n, k, s in zip(size, kernel, strides.tolist(), strict=True)
    ]
    return [(total // 2, total - total // 2) for total in totals]


def _pad(x: np.ndarray, sides: list[tuple[int, int]], value: float) -> np.ndarray:
    return np.pad(x, [(0, 0), (0, 0), *sides], constant_values=value)


def _windows(x: np.ndarray, kernel: tuple[int, ...], strides: Any) -> np.ndarray:
    """The part of the input under the kernel at each place.

    Returns [channels, height, width, *kernel].
    """
    every = np.lib.stride_tricks.sliding_window_view(x[0], kernel, axis=(1, 2))
    return every[:, :: strides[0], :: strides[1]]


def _constant_pad(*, x: Any, pad: Any, mode: str, constant_val: Any) -> np.ndarray:
    if mode != "constant":
        raise ValueError(f"padding with {mode!r:.80} is not known here.")
    return np.pad(x, pad.reshape(-1, 2).tolist(), constant_values=float(constant_val))


def _slice(*, x: Any, begin: Any, end: Any, stride: Any, **masks: Any) -> np.ndarray:
    none = [False] * x.ndim
    from_start, to_end, squeezed = (list(masks.get(n, none)) for n in SLICE_MASKS)
    if any(squeezed):
        raise ValueError("a slice that drops an axis is not known here.")
    places = [
        slice(None if a else int(b), None if c else int(e), int(s))
        for a, b, c, e, s in zip(from_start, begin, to_end, end, stride, strict=True)
    ]
    return x[tuple(places)]


def _softmax(*, x: Any, axis: Any) -> np.ndarray:
    powers = np.exp(x - x.max(axis=int(axis), keepdims=True))
    return powers / powers.sum(axis=int(axis), keepdims=True)


def _matmul(*, x: Any, y: Any, transpose_x: Any, transpose_y: Any) -> np.ndarray:
    left, right = (
        v.swapaxes(-1, -2) if bool(t) else v
        for v, t in ((x, transpose_x), (y, transpose_y))
    )
    return left @ right


def _linear(*, x: Any, weight: Any, bias: Any = 0.0) -> np.ndarray:
    return x @ weight.T + bias


def _mean(*, x: Any, axes: Any, keep_dims: Any) -> np.ndarray:
    return x.mean(axis=tuple(axes.tolist()), keepdims=bool(keep_dims))


OPERATIONS: dict[str, Callable[..., np.ndarray]] = {
    "add": lambda *, x, y: x + y,
    "cast": lambda *, x, dtype: x,  # the type of the output says it
    "concat": lambda *, values, axis, interleave=False: np.concatenate(
        values, axis=int(axis)
    ),
    "conv": _conv,
    "linear": _linear,
    "matmul": _matmul,
    "max_pool": _max_pool,
    "mul": lambda *, x, y: x * y,
    "pad": _constant_pad,
    "reduce_mean": _mean,
    "relu": lambda *, x: np.maximum(x, 0),
    "reshape": lambda *, x, shape: x.reshape(shape.tolist()),
    "rsqrt": lambda *, x, epsilon: 1 / np.sqrt(x + epsilon),
    "slice_by_index": _slice,
    "softmax": _softmax,
    "sqrt": lambda *, x: np.sqrt(x),
    "transpose": lambda *, x, perm: x.transpose(perm.tolist()),
}
# they move numbers, and rounding again costs time
EXACT_OPERATIONS = {
    "concat", "max_pool", "pad", "relu", "reshape", "slice_by_index", "transpose"
}  # fmt: skip
