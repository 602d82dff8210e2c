"""Sizes, parameters and multiply-adds of an Architecture, from its rows alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

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

MIN_IMAGE_SIDE = 32  # pixels; the network divides its sides by 32
MIN_CLASSES = 2
AUXILIARY_POOL_WINDOW, AUXILIARY_POOL_STRIDE = (
    5,
    3,
)  # of the auxiliary heads' average pooling

FeatureMap: TypeAlias = tuple[int, int, int]
"""Height, width and channels."""


@dataclass(frozen=True)
class Layer:
    """One layer with weights; a dense layer has a 1x1 kernel and a 1x1 map."""

    name: str
    kernel: int
    inputs: int
    outputs: int
    height: int
    width: int
    bias: bool
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
    def statistics(self) -> int:
        """Number of moving means and variances of batch normalization."""
        return 2 * self.outputs if self.norm_vectors else 0

    @property
    def macs(self) -> int:
        """Multiply-adds for one image."""
        return self.weights * self.height * self.width


@dataclass(frozen=True)
class Stage:
    """One row of the network, or one head, with its output and its layers."""

    name: str
    output: FeatureMap
    layers: tuple[Layer, ...] = ()
    auxiliary: bool = False

    @property
    def parameters(self) -> int:
        """Number of trainable values of all its layers."""
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

    auxiliary: with both heads. statistics: with moving means and variances.
    """
    return sum(
        layer.parameters + (layer.statistics if statistics else 0)
        for layer in layers(variant, classes, image_size, auxiliary)
    )


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
    """Every convolution and dense layer, in the order of the network."""
    stages = iterate_stages(variant, classes, image_size, auxiliary)
    return [layer for stage in stages for layer in stage.layers]


def iterate_stages(
    variant: str | Architecture,
    classes: int,
    image_size: int | tuple[int, int],
    auxiliary: bool,
) -> Iterator[Stage]:
    """Yields a Stage for each row, and for each auxiliary head after its module.

    Raises UserError for an image side below 32 pixels or fewer than 2 classes.
    """
    arch = get_architecture(variant)
    check_classes(classes)
    current: FeatureMap = (*height_and_width(image_size), 3)
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
    """Height and width in pixels; one number stands for both. Raises UserError."""
    pair = image_size if isinstance(image_size, tuple | list) else (int(image_size),)
    if len(pair) not in (1, 2):
        raise UserError(
            f"image_size is one number or height and width; received {image_size}."
        )
    if min(pair) < MIN_IMAGE_SIDE:
        raise UserError(
            f"image_size must be at least {MIN_IMAGE_SIDE} pixels; "
            f"received {min(pair)}."
        )
    return pair[0], pair[-1]


def check_classes(classes: int) -> None:
    """Raises UserError for fewer than 2 classes."""
    if classes < MIN_CLASSES:
        raise UserError(
            f"classes must be at least {MIN_CLASSES}, or there is nothing to tell "
            f"apart; received {classes}."
        )


def auxiliary_window(arch: Architecture, size: int) -> tuple[int, int, int]:
    """(window, stride, outputs) of a head's average pooling on an axis of `size`.

    The window is `size` on maps smaller than 5. Adaptive pooling has no single window;
    its window and stride are 0.
    """
    if arch.auxiliary_pool == "adaptive 4x4":
        return 0, 0, 4
    window = min(AUXILIARY_POOL_WINDOW, size)
    outputs = geometry.outputs(size, window, AUXILIARY_POOL_STRIDE, (0, 0))
    return window, AUXILIARY_POOL_STRIDE, outputs


def naive_macs(module: Inception, wide_kernel: int, inputs: FeatureMap) -> int:
    """Multiply-adds of `module` without its 1x1 reductions and its projection."""
    height, width, channels = inputs
    per_channel = module.conv1x1 + 9 * module.conv3x3 + wide_kernel**2 * module.conv5x5
    return height * width * channels * per_channel


def _stage(arch: Architecture, row: Row, inputs: FeatureMap) -> Stage:
    if isinstance(row, Conv):
        layer = _convolution(arch, row, inputs)
        return Stage(row.name, (layer.height, layer.width, layer.outputs), (layer,))
    if isinstance(row, MaxPool):
        return Stage(row.name, _pool(arch, row, inputs))
    if isinstance(row, Inception):
        return _inception(arch, row, inputs)
    return Stage(row.name, inputs)


def _inception(arch: Architecture, row: Inception, inputs: FeatureMap) -> Stage:
    layers: list[Layer] = []
    for branch in row.branches(arch.wide_kernel):
        current = inputs
        for step in branch:
            stage = _stage(arch, step, current)
            layers += stage.layers
            current = stage.output
    return Stage(row.name, (*inputs[:2], row.filters), tuple(layers))


def _head(
    arch: Architecture, head: AuxiliaryHead, inputs: FeatureMap, classes: int
) -> Stage:
    height, width = (auxiliary_window(arch, side)[2] for side in inputs[:2])
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


def _convolution(arch: Architecture, row: Conv, inputs: FeatureMap) -> Layer:
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


def _pool(arch: Architecture, row: MaxPool, inputs: FeatureMap) -> FeatureMap:
    height, width = (
        geometry.pooled(side, row.window, row.stride, arch.padding)
        for side in inputs[:2]
    )
    return height, width, inputs[2]


def final_map(
    variant: str | Architecture, image_size: int | tuple[int, int]
) -> FeatureMap:
    """The last feature map, which average pooling reduces to a vector."""
    *_, last, _, _ = iterate_stages(variant, MIN_CLASSES, image_size, auxiliary=False)
    return last.output
