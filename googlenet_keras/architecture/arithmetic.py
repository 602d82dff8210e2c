"""Sizes, parameters and multiply-adds of an Architecture, from its rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral

from googlenet_keras.architecture import geometry
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.rows import (
    AuxiliaryHead,
    Conv,
    Inception,
    MaxPool,
    Row,
)
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.errors import UserError

SMALLEST_IMAGE = 32  # five halvings leave one pixel
FEWEST_CLASSES = 2
AVERAGE_POOL = (5, 3)  # the auxiliary heads' window and stride

Map = tuple[int, int, int]
"""Height, width and channels of one tensor."""


@dataclass(frozen=True)
class Layer:
    """One weighted layer: kernel 1x1 and map 1x1 for a dense one."""

    name: str
    kernel: int
    inputs: int
    outputs: int
    height: int
    width: int
    bias: bool
    norm_vectors: int = 0  # trainable vectors of batch normalisation: beta, gamma

    @property
    def weights(self) -> int:
        """Values in the kernel."""
        return self.kernel**2 * self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        """Trainable values: kernel, bias, beta and gamma."""
        return self.weights + self.outputs * (self.bias + self.norm_vectors)

    @property
    def statistics(self) -> int:
        """Moving mean and variance of batch normalisation."""
        return 2 * self.outputs if self.norm_vectors else 0

    @property
    def macs(self) -> int:
        """Multiply-adds for one image."""
        return self.weights * self.height * self.width


@dataclass(frozen=True)
class Stage:
    """One row of the network with its output map and its weighted layers."""

    name: str
    output: Map
    layers: tuple[Layer, ...] = ()
    auxiliary: bool = False

    @property
    def parameters(self) -> int:
        """Trainable values of all its layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-adds of all its layers for one image."""
        return sum(layer.macs for layer in self.layers)


def parameters(
    variant: str | Architecture = "bn",
    *,
    classes: int = 1000,
    image_size: int | tuple[int, int] = 224,
    auxiliary: bool = False,
    statistics: bool = False,
) -> int:
    """The number of trainable values, 6,998,552 for "paper" and 1000 classes.

    auxiliary: with both heads. statistics: moving means and variances counted too.
    """
    found = layers(variant, classes, image_size, auxiliary)
    return sum(x.parameters + (x.statistics if statistics else 0) for x in found)


def macs(
    variant: str | Architecture = "bn",
    *,
    classes: int = 1000,
    image_size: int | tuple[int, int] = 224,
    auxiliary: bool = False,
) -> int:
    """Multiply-adds for one image, 1,582,671,872 for "paper" at 224 pixels."""
    return sum(x.macs for x in layers(variant, classes, image_size, auxiliary))


def layers(
    variant: str | Architecture,
    classes: int,
    image_size: int | tuple[int, int],
    auxiliary: bool,
) -> list[Layer]:
    """Every convolution and dense layer in the order of the network."""
    stages = trace(variant, classes, image_size, auxiliary)
    return [layer for stage in stages for layer in stage.layers]


def trace(
    variant: str | Architecture,
    classes: int,
    image_size: int | tuple[int, int],
    auxiliary: bool,
) -> Iterator[Stage]:
    """The network row by row: output maps and layers, auxiliary heads where they hang.

    Raises UserError for an image side below 32 pixels or fewer than 2 classes.
    """
    arch = get_architecture(variant)
    check_classes(classes)
    current: Map = (*height_and_width(image_size), 3)
    for row in arch.rows:
        stage = _stage(arch, row, current)
        yield stage
        current = stage.output
        for head in arch.heads if auxiliary else ():
            if head.after == row.name:
                yield _head(arch, head, current, classes)
    yield Stage("average_pool", (1, 1, current[2]))
    yield Stage("main", (1, 1, classes), (_dense("main", current[2], classes),))


def height_and_width(image_size: int | tuple[int, ...]) -> tuple[int, int]:
    """Height and width in pixels, checked; one number stands for both."""
    single = isinstance(image_size, Integral)
    pair = (int(image_size),) if single else tuple(image_size)
    if len(pair) not in (1, 2):
        raise UserError(
            f"image_size is one number or height and width; received {image_size}."
        )
    if min(pair) < SMALLEST_IMAGE:
        raise UserError(
            f"image_size must be at least {SMALLEST_IMAGE} pixels; "
            f"received {min(pair)}."
        )
    return pair[0], pair[-1]


def check_classes(classes: int) -> None:
    """Raises UserError for fewer than 2 classes."""
    if classes < FEWEST_CLASSES:
        raise UserError(
            f"classes must be at least {FEWEST_CLASSES}, or there is nothing to tell "
            f"apart; received {classes}."
        )


def auxiliary_windows(arch: Architecture, size: int) -> tuple[int, int, int]:
    """(window, stride, outputs) of a head's average pooling on an axis of `size`.

    The window shrinks with a map below 5. Adaptive pooling has no single window; its
    entry is 0.
    """
    if arch.auxiliary_pool == "adaptive 4x4":
        return 0, 0, 4
    window, stride = min(AVERAGE_POOL[0], size), AVERAGE_POOL[1]
    return window, stride, geometry.outputs(size, window, stride, (0, 0))


def naive_macs(module: Inception, wide_kernel: int, inputs: Map) -> int:
    """Multiply-adds of `module` without its 1x1 reductions and its projection."""
    height, width, channels = inputs
    per_channel = module.conv1x1 + 9 * module.conv3x3 + wide_kernel**2 * module.conv5x5
    return height * width * channels * per_channel


def _stage(arch: Architecture, row: Row, inputs: Map) -> Stage:
    if isinstance(row, Conv):
        layer = _convolution(arch, row, inputs)
        return Stage(row.name, (layer.height, layer.width, layer.outputs), (layer,))
    if isinstance(row, MaxPool):
        return Stage(row.name, _pooled(arch, row, inputs))
    if isinstance(row, Inception):
        return _inception(arch, row, inputs)
    return Stage(row.name, inputs)


def _inception(arch: Architecture, row: Inception, inputs: Map) -> Stage:
    found: list[Layer] = []
    for branch in row.branches(arch.wide_kernel):
        current = inputs
        for step in branch:
            stage = _stage(arch, step, current)
            found += stage.layers
            current = stage.output
    return Stage(row.name, (*inputs[:2], row.filters), tuple(found))


def _head(arch: Architecture, head: AuxiliaryHead, inputs: Map, classes: int) -> Stage:
    height, width = (auxiliary_windows(arch, side)[2] for side in inputs[:2])
    conv = Conv(f"{head.name}_conv", head.filters, 1)
    return Stage(
        head.name,
        (1, 1, classes),
        (
            _convolution(arch, conv, (height, width, inputs[2])),
            _dense(f"{head.name}_fc", height * width * head.filters, head.units),
            _dense(head.name, head.units, classes),
        ),
        auxiliary=True,
    )


def _convolution(arch: Architecture, row: Conv, inputs: Map) -> Layer:
    height, width = (
        geometry.convolved(side, row.kernel, row.stride, arch.padding)
        for side in inputs[:2]
    )
    norm_vectors = 1 + arch.gamma if arch.batch_norm else 0
    return Layer(
        row.name, row.kernel, inputs[2], row.filters, height, width,
        bias=not arch.batch_norm, norm_vectors=norm_vectors,
    )  # fmt: skip


def _dense(name: str, inputs: int, outputs: int) -> Layer:
    return Layer(name, 1, inputs, outputs, 1, 1, bias=True)


def _pooled(arch: Architecture, row: MaxPool, inputs: Map) -> Map:
    height, width = (
        geometry.pooled(side, row.window, row.stride, arch.padding)
        for side in inputs[:2]
    )
    return height, width, inputs[2]


def final_map(variant: str | Architecture, image_size: int | tuple[int, int]) -> Map:
    """The map that the average pooling before the main classifier receives."""
    *_, last, _, _ = trace(variant, FEWEST_CLASSES, image_size, auxiliary=False)
    return last.output
