"""Builds the Keras functional model of an Architecture: trunk, modules, three heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
from keras import layers

from googlenet_keras.architecture import arithmetic, geometry
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.rows import (
    AuxiliaryHead,
    Conv,
    Inception,
    MaxPool,
    Row,
)
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.errors import unknown_choice
from googlenet_keras.network.layers import (
    FusedBatchNormalization,
    JointConvolutions,
)
from googlenet_keras.network.response_norm import (
    LocalResponseNormalization,
    PortableResponseNormalization,
)

PIXEL_STDDEV = 60.0  # typical standard deviation of photographs' pixels in 0..255


@dataclass(frozen=True)
class Initialization:
    """How weights start: variance `scale` / fan-in, and the biases before a ReLU.

    balanced: the first layer allows for the spread of pixels, and the classifiers start
    near 0, so that every activation has about unit variance and no class is preferred.
    """

    scale: float
    distribution: str
    bias: float
    balanced: bool

    def kernel(self, spread: float = 1.0) -> keras.Initializer:
        """The kernel's initializer for inputs of standard deviation `spread`."""
        scale = self.scale / spread**2 if self.balanced else self.scale
        return keras.initializers.VarianceScaling(scale, "fan_in", self.distribution)

    def classifier(self) -> keras.Initializer:
        """The initializer of the kernel that gives logits."""
        if self.balanced:
            return keras.initializers.RandomNormal(stddev=0.01)
        return self.kernel()


INITIALIZATIONS = {
    # keeps the variance of activations through ReLUs (arXiv 1502.01852)
    "he": Initialization(2.0, "truncated_normal", bias=0.0, balanced=True),
    # Caffe's `xavier` with its FAN_IN default, biases 0.2: bvlc_googlenet
    "caffe": Initialization(1.0, "uniform", bias=0.2, balanced=False),
}


@dataclass(frozen=True)
class _Plan:
    """What every part of the network needs to know."""

    arch: Architecture
    classes: int
    start: Initialization
    joint: bool
    portable: bool


def build(
    variant: str | Architecture = "bn",
    *,
    classes: int = 1000,
    image_size: int | tuple[int, int] = 224,
    auxiliary: bool = True,
    width: float = 1.0,
    widths: Mapping[str, int] | None = None,
    initialization: str = "he",
    joint: bool = False,
    portable: bool = False,
) -> keras.Model:
    """GoogLeNet as a functional model, from `image` to logits by the head's name.

    Takes `image`, [batch, height, width, 3] RGB in 0..255, uint8 or float32. Gives
    {"main": logits, "aux1": ..., "aux2": ...}, each [batch, classes] float32 whatever
    the precision; without `auxiliary`, the deployable network, "main" alone.

    variant: bn, paper, torchvision, slim, or an Architecture. image_size: pixels, one
    number or (height, width), from 32. width: multiplies every filter count, rounded to
    multiples of 8. widths: filter counts by layer name, after that. initialization:
    "he" or "caffe". joint: compute the 1x1 convolutions of a module that read the same
    tensor as one, which is faster; they are inside JointConvolutions layers then, under
    the same names. portable: compute local response normalisation from operations that
    phones' accelerators have. Raises UserError for an unknown name or a size out of
    range.
    """
    arch = get_architecture(variant).scale_width(width).with_widths(widths or {})
    if initialization not in INITIALIZATIONS:
        raise unknown_choice("initialization", initialization, INITIALIZATIONS)
    arithmetic.check_classes(classes)
    plan = _Plan(arch, classes, INITIALIZATIONS[initialization], joint, portable)
    image = keras.Input((*arithmetic.height_and_width(image_size), 3), name="image")
    outputs = _outputs(plan, image, arch.heads if auxiliary else ())
    return keras.Model(image, outputs, name=f"googlenet_{arch.name}")


def _outputs(plan: _Plan, image, heads: tuple[AuxiliaryHead, ...]) -> dict:
    arch = plan.arch
    x = _pixels(arch, image)
    auxiliary = {}
    for row in arch.rows:
        x = _row(plan, row, x)
        for head in heads:
            if head.after == row.name:
                auxiliary[head.name] = _head(plan, head, x)
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)  # [batch, 1024]
    x = layers.Dropout(arch.dropout, name="dropout")(x)
    return {"main": _classifier(plan, "main", x), **auxiliary}


def _pixels(arch: Architecture, image):
    scale = 1.0 / arch.pixel_scale
    offsets = [-mean * scale for mean in arch.pixel_mean]
    return layers.Rescaling(
        scale,
        # one number is added several times faster than three
        offset=offsets[0] if len(set(offsets)) == 1 else offsets,
        name="pixels",
        dtype="float32",
    )(image)


def _row(plan: _Plan, row: Row, x):
    if isinstance(row, Conv):
        return _convolution(plan, row, x)
    if isinstance(row, MaxPool):
        return _max_pool(plan.arch, row, x)
    if isinstance(row, Inception):
        return _inception(plan, row, x)
    norm = (
        PortableResponseNormalization if plan.portable else LocalResponseNormalization
    )
    return norm(name=row.name)(x)


def _inception(plan: _Plan, module: Inception, x):
    branches = module.branches(plan.arch.wide_kernel)
    starts = [x] * len(branches)
    if plan.joint:
        starts[:3] = _joint(plan, module, [branch[0] for branch in branches[:3]], x)
        branches = (*(branch[1:] for branch in branches[:3]), branches[3])
    joined = []
    for y, branch in zip(starts, branches, strict=True):
        for step in branch:
            y = _row(plan, step, y)
        joined.append(y)
    return layers.Concatenate(name=module.name)(joined)


def _joint(plan: _Plan, module: Inception, rows: Sequence[Conv], x) -> list:
    norms = [_norm(plan.arch, row) for row in rows] if plan.arch.batch_norm else ()
    convolutions = [_conv2d(plan, row, "valid") for row in rows]
    return JointConvolutions(convolutions, norms, name=f"{module.name}_joint")(x)


def _convolution(plan: _Plan, row: Conv, x):
    arch = plan.arch
    padding = [
        geometry.convolution_padding(side, row.kernel, row.stride, arch.padding)
        for side in x.shape[1:3]
    ]
    name = _padding_name(x, row.kernel, row.stride, padding)
    x = _conv2d(plan, row, name)(_padded(x, row.name, row.kernel, row.stride, padding))
    if arch.batch_norm:
        x = _norm(arch, row)(x)
    return layers.ReLU(name=f"{row.name}_relu")(x)


def _conv2d(plan: _Plan, row: Conv, padding: str) -> layers.Conv2D:
    arch = plan.arch
    first = row == arch.rows[0]
    return layers.Conv2D(
        row.filters,
        row.kernel,
        row.stride,
        padding=padding,
        use_bias=not arch.batch_norm,
        kernel_initializer=plan.start.kernel(
            PIXEL_STDDEV / arch.pixel_scale if first else 1.0
        ),
        bias_initializer=keras.initializers.Constant(plan.start.bias),
        name=row.name,
    )


def _norm(arch: Architecture, row: Conv) -> FusedBatchNormalization:
    return FusedBatchNormalization(scale=arch.gamma, name=f"{row.name}_bn")


def _max_pool(arch: Architecture, row: MaxPool, x):
    # Zeros may stand for minus infinity, since every map that is pooled is a ReLU's;
    # unlike minus infinity they survive int8.
    padding = [
        geometry.pool_padding(side, row.window, row.stride, arch.padding)
        for side in x.shape[1:3]
    ]
    return layers.MaxPooling2D(
        row.window,
        row.stride,
        padding=_padding_name(x, row.window, row.stride, padding),
        name=row.name,
    )(_padded(x, row.name, row.window, row.stride, padding))


def _padding_name(x, window: int, stride: int, padding: list) -> str:
    same = [
        geometry.convolution_padding(side, window, stride, "same")
        for side in x.shape[1:3]
    ]
    return "same" if padding == same else "valid"


def _padded(x, name: str, window: int, stride: int, padding: list):
    """`x` with explicit zeros where the layer's own "same" or "valid" will not do."""
    if _padding_name(x, window, stride, padding) == "same" or padding == [(0, 0)] * 2:
        return x
    return layers.ZeroPadding2D(padding, name=f"{name}_padding")(x)


def _head(plan: _Plan, head: AuxiliaryHead, x):
    x = _auxiliary_pool(plan.arch, head, x)
    x = _convolution(plan, Conv(f"{head.name}_conv", head.filters, 1), x)
    x = layers.Flatten(name=f"{head.name}_flatten")(x)
    x = layers.Dense(
        head.units,
        "relu",
        kernel_initializer=plan.start.kernel(),
        bias_initializer=keras.initializers.Constant(plan.start.bias),
        name=f"{head.name}_fc",
    )(x)
    x = layers.Dropout(plan.arch.auxiliary_dropout, name=f"{head.name}_dropout")(x)
    return _classifier(plan, head.name, x)


def _auxiliary_pool(arch: Architecture, head: AuxiliaryHead, x):
    name = f"{head.name}_pool"
    if arch.auxiliary_pool == "adaptive 4x4":
        return layers.AdaptiveAveragePooling2D((4, 4), name=name)(x)
    windows = [arithmetic.auxiliary_windows(arch, side) for side in x.shape[1:3]]
    (height, stride, _), (width, _, _) = windows
    return layers.AveragePooling2D((height, width), stride, name=name)(x)


def _classifier(plan: _Plan, name: str, x):
    return layers.Dense(
        plan.classes,
        kernel_initializer=plan.start.classifier(),
        name=name,
        dtype="float32",
    )(x)
