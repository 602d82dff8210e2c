"""Sizes, padding, parameters and multiply-adds of an Architecture, from its rows."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import TypeAlias

from googlenet_keras.architecture import table1
from googlenet_keras.architecture.architecture import DENSE_LAYER, Architecture
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.errors import UserError

MIN_IMAGE_SIDE, MAX_IMAGE_SIDE = 32, 8192  # pixels; the network divides sides by 32
MIN_CLASSES, MAX_CLASSES = 2, 1_000_000
VALUE_BYTES = 4  # of float32
AUXILIARY_POOL_WINDOW, AUXILIARY_POOL_STRIDE = 5, 3  # of the heads' average pooling

ImageSize: TypeAlias = int | tuple[int, ...]
"""Pixels: one number, or height and width."""
FeatureMap: TypeAlias = tuple[int, int, int]
"""Height, width and channels."""


@dataclass(frozen=True)
class Layer:
    """One layer with weights; a dense layer has a 1x1 kernel and a 1x1 map."""

    name: str
    inputs: int
    outputs: int
    kernel: int = 1
    height: int = 1
    width: int = 1
    bias: bool = True
    norm_vectors: int = 0  # trainable vectors of batch normalization: beta, gamma

    @property
    def weights(self) -> int:
        """Number of values in the kernel, without the bias."""
        return self.kernel**2 * self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        """Number of trainable values: kernel, bias, beta and gamma."""
        return self.weights + self.outputs * (self.bias + self.norm_vectors)

    @property
    def macs(self) -> int:
        """Multiply-adds for one image."""
        return self.weights * self.height * self.width

    @property
    def values(self) -> int:
        """Number of values in the output for one image."""
        return self.outputs * self.height * self.width


@dataclass(frozen=True)
class Stage:
    """One row of the network, or one head, with its output and its layers' costs."""

    name: str
    output: FeatureMap
    layers: tuple[Layer, ...] = ()
    auxiliary: bool = False

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)


def parameters(
    variant: str | Architecture = "bn",
    *,
    classes: int = 1000,
    image_size: ImageSize = 224,
    auxiliary: bool = False,
    statistics: bool = False,
) -> int:
    """The number of trainable values, 6,998,552 for "paper" and 1000 classes.

    auxiliary: with both heads. statistics: with moving means and variances.
    """
    counted = layers(variant, classes, image_size, auxiliary)
    normalized = [x.outputs for x in counted if statistics and x.norm_vectors]
    return sum(x.parameters for x in counted) + 2 * sum(normalized)


def macs(
    variant: str | Architecture = "bn",
    *,
    classes: int = 1000,
    image_size: ImageSize = 224,
    auxiliary: bool = False,
) -> int:
    """Multiply-adds for one image, 1,582,671,872 for "paper" at 224 pixels."""
    return sum(x.macs for x in layers(variant, classes, image_size, auxiliary))


def training_bytes(
    arch: Architecture,
    classes: int,
    image_size: ImageSize,
    batch_size: int,
    output_bytes: int = VALUE_BYTES,
) -> int:
    """A lower limit on the memory of a training step.

    It has the weights, their gradients and momentum in float32, and every layer's
    output, whose values have `output_bytes`.
    """
    counted = layers(arch, classes, image_size, auxiliary=True)
    weights = 3 * VALUE_BYTES * sum(x.parameters for x in counted)
    return weights + output_bytes * batch_size * sum(x.values for x in counted)


def layers(
    variant: str | Architecture, classes: int, image_size: ImageSize, auxiliary: bool
) -> list[Layer]:
    """Every convolution and dense layer, in the order of the network."""
    stages = iterate_stages(variant, classes, image_size, auxiliary)
    return [layer for stage in stages for layer in stage.layers]


def iterate_stages(
    variant: str | Architecture, classes: int, image_size: ImageSize, auxiliary: bool
) -> Iterator[Stage]:
    """Yields a Stage for each row, and for each auxiliary head after its module.

    Raises UserError for an image side or a number of classes out of range, and where a
    window does not fit into the map that it reads.
    """
    arch = get_architecture(variant)
    check_classes(classes)
    current: FeatureMap = (*height_and_width(image_size), 3)
    for row in arch.rows:
        stage = row_stage(arch, row, current)
        yield stage
        current = stage.output
        for head in arch.heads if auxiliary else ():
            if head.after == row.name:
                yield _head(arch, head, current, classes)
    last = _last_hidden_stage(arch, current)
    yield last
    yield Stage("main", (1, 1, classes), (Layer("main", last.output[2], classes),))


def height_and_width(image_size: ImageSize) -> tuple[int, int]:
    """Height and width in pixels; one number stands for both. Raises UserError."""
    pair = tuple(image_size) if isinstance(image_size, Iterable) else (image_size,)
    whole = all(isinstance(side, Integral) for side in pair)
    sides = range(MIN_IMAGE_SIDE, MAX_IMAGE_SIDE + 1)
    if len(pair) not in (1, 2) or not (whole and all(side in sides for side in pair)):
        raise UserError(
            "image_size must be one number or height and width, at most "
            f"{MAX_IMAGE_SIDE} and at least {MIN_IMAGE_SIDE} pixels; received "
            f"{'x'.join(map(str, pair)):.200}."
        )
    return int(pair[0]), int(pair[-1])


def check_classes(classes: int) -> None:
    """Raises UserError for fewer than 2 classes, or more than a million."""
    if not MIN_CLASSES <= classes <= MAX_CLASSES:
        raise UserError(
            f"classes must be at least {MIN_CLASSES} and at most {MAX_CLASSES}; "
            f"received {classes}."
        )


def auxiliary_window(arch: Architecture, size: int) -> tuple[int, int, int]:
    """(window, stride, outputs) of a head's average pooling on an axis of `size`.

    The window is `size` on maps smaller than 5. Adaptive pooling has no single window;
    its window and stride are 0.
    """
    if arch.auxiliary_pool == "adaptive 4x4":
        return 0, 0, 4
    window, stride = min(AUXILIARY_POOL_WINDOW, size), AUXILIARY_POOL_STRIDE
    return window, stride, (size - window) // stride + 1


def padding(row: table1.Conv | table1.MaxPool, size: int, rule: str) -> tuple[int, int]:
    """Zeros that a row adds before and after an axis of `size` values.

    rule: "symmetric" is Caffe's: convolutions add (kernel - 1) / 2 on both sides, as
    PyTorch's do, and pools are in ceil mode, padded at the end only. "floor" pads no
    pool whose stride is above 1. "same" is TensorFlow's SAME: 2 before and 3 after for
    7x7/2 on 224.
    """
    window, stride = row.window, row.stride
    is_pool = isinstance(row, table1.MaxPool)
    if rule == "same" or (is_pool and stride == 1):
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        return total // 2, total - total // 2
    if not is_pool:
        return (window - 1) // 2, (window - 1) // 2
    if rule == "floor":
        return 0, max(window - size, 0)  # one whole window at least
    steps = -(-max(size - window, 0) // stride)
    return 0, max(steps * stride + window - size, 0)


def output_size(row: table1.Conv | table1.MaxPool, size: int, rule: str) -> int:
    """The number of windows of a row on an axis of `size` values."""
    return (size + sum(padding(row, size, rule)) - row.window) // row.stride + 1


def row_stage(arch: Architecture, row: table1.Row, inputs: FeatureMap) -> Stage:
    """The Stage of a row of `arch` that reads a map of `inputs`. Raises UserError."""
    height, width, channels = inputs
    if isinstance(row, table1.ResponseNorm):
        return Stage(row.name, inputs)
    if isinstance(row, table1.Inception):
        layers: list[Layer] = []
        joined = 0
        for branch in row.branches(arch.wide_kernel):
            current = inputs
            for step in branch:
                stage = row_stage(arch, step, current)
                layers += stage.layers
                current = stage.output
            joined += current[2]
        return Stage(row.name, (height, width, joined), tuple(layers))
    height, width = (output_size(row, side, arch.padding) for side in inputs[:2])
    if min(height, width) < 1:
        raise UserError(
            f"the window of {row.name}, {row.window} x {row.window}, does not fit into "
            f"its map of {inputs[0]} x {inputs[1]}. Choose a larger image."
        )
    if isinstance(row, table1.MaxPool):
        return Stage(row.name, (height, width, channels))
    layer = Layer(
        *(row.name, channels, row.filters, row.kernel, height, width),
        bias=not arch.batch_norm,
        norm_vectors=1 + arch.gamma if arch.batch_norm else 0,
    )
    return Stage(row.name, (height, width, row.filters), (layer,))


def _last_hidden_stage(arch: Architecture, inputs: FeatureMap) -> Stage:
    """What is between the last row and the main classifier: a pool or a dense layer."""
    if arch.dense_units is None:
        return Stage("average_pool", (1, 1, inputs[2]))
    layer = Layer(DENSE_LAYER, math.prod(inputs), arch.dense_units)
    return Stage(DENSE_LAYER, (1, 1, arch.dense_units), (layer,))


def _head(
    arch: Architecture, head: table1.AuxiliaryHead, inputs: FeatureMap, classes: int
) -> Stage:
    height, width = (auxiliary_window(arch, side)[2] for side in inputs[:2])
    conv = table1.Conv(f"{head.name}_conv", head.filters, 1)
    layers = (
        *row_stage(arch, conv, (height, width, inputs[2])).layers,
        Layer(f"{head.name}_fc", height * width * head.filters, head.units),
        Layer(head.name, head.units, classes),
    )
    return Stage(head.name, (1, 1, classes), layers, auxiliary=True)
