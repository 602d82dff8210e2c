"""Builds the Keras functional model of an Architecture: trunk, modules, three heads."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
from keras import layers

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.arithmetic import (
    auxiliary_window,
    check_classes,
    convolution_padding,
    height_and_width,
    pool_padding,
)
from googlenet_keras.architecture.table1 import (
    AuxiliaryHead,
    Branch,
    Conv,
    Inception,
    MaxPool,
    Row,
)
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.errors import unknown_choice_error
from googlenet_keras.network.layers import FusedBatchNormalization, JointConvolutions
from googlenet_keras.network.response_norm import (
    LocalResponseNormalization,
    PortableResponseNormalization,
)

PIXEL_STDDEV = 60.0  # typical standard deviation of photographs' pixels in 0..255


@dataclass(frozen=True)
class Initialization:
    """Distribution of initial weights, with variance `scale` / fan-in, and of biases.

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
        """The kernel's initializer for the layers that output logits."""
        if self.balanced:
            return keras.initializers.RandomNormal(stddev=0.01)
        return self.kernel()


INITIALIZATIONS = {
    # keeps the variance of activations through ReLUs (arXiv 1502.01852)
    "he": Initialization(2.0, "truncated_normal", bias=0.0, balanced=True),
    # Caffe's `xavier` with its FAN_IN default, biases 0.2: bvlc_googlenet
    "caffe": Initialization(1.0, "uniform", bias=0.2, balanced=False),
}


def build_network(
    variant: str | Architecture = "bn",
    *,
    classes: int = 1000,
    image_size: int | tuple[int, ...] = 224,
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
    the same names. portable: compute local response normalization from operations that
    phones' accelerators have. Raises UserError for an unknown name or a size out of
    range.
    """
    arch = get_architecture(variant).scale_width(width).with_widths(widths or {})
    if initialization not in INITIALIZATIONS:
        raise unknown_choice_error("initialization", initialization, INITIALIZATIONS)
    check_classes(classes)
    builder = _Builder(arch, classes, INITIALIZATIONS[initialization], joint, portable)
    image = keras.Input((*height_and_width(image_size), 3), name="image")
    outputs = builder.outputs(image, arch.heads if auxiliary else ())
    return keras.Model(image, outputs, name=f"googlenet_{arch.name}")


@dataclass(frozen=True)
class _Builder:
    """Connects the layers of one network; x is [batch, height, width, channels]."""

    arch: Architecture
    classes: int
    initialization: Initialization
    joint: bool
    portable: bool

    def outputs(
        self, image: keras.KerasTensor, heads: tuple[AuxiliaryHead, ...]
    ) -> dict[str, keras.KerasTensor]:
        x = self._pixels(image)
        auxiliary = {}
        for row in self.arch.rows:
            x = self._row(row, x)
            for head in heads:
                if head.after == row.name:
                    auxiliary[head.name] = self._auxiliary_head(head, x)
        x = layers.GlobalAveragePooling2D(name="average_pool")(x)  # [batch, 1024]
        x = layers.Dropout(self.arch.dropout, name="dropout")(x)
        return {"main": self._logits("main", x), **auxiliary}

    def _pixels(self, image: keras.KerasTensor) -> keras.KerasTensor:
        scale = 1.0 / self.arch.pixel_scale
        offsets = [-mean * scale for mean in self.arch.pixel_mean]
        return layers.Rescaling(
            scale,
            # one number is added several times faster than three
            offset=offsets[0] if len(set(offsets)) == 1 else offsets,
            name="pixels",
            dtype="float32",
        )(image)

    def _row(self, row: Row, x: keras.KerasTensor) -> keras.KerasTensor:
        if isinstance(row, Conv):
            return self._convolution(row, x)
        if isinstance(row, MaxPool):
            return self._max_pool(row, x)
        if isinstance(row, Inception):
            return self._inception(row, x)
        if self.portable:
            return PortableResponseNormalization(name=row.name)(x)
        return LocalResponseNormalization(name=row.name)(x)

    def _inception(self, module: Inception, x: keras.KerasTensor) -> keras.KerasTensor:
        branches = module.branches(self.arch.wide_kernel)
        ends = [x] * len(branches)
        if self.joint:
            ends[:3] = self._joint_convolutions(module, branches[:3], x)
            branches = (*(branch[1:] for branch in branches[:3]), branches[3])
        for number, branch in enumerate(branches):
            for row in branch:
                ends[number] = self._row(row, ends[number])
        return layers.Concatenate(name=module.name)(ends)

    def _joint_convolutions(
        self, module: Inception, branches: tuple[Branch, ...], x: keras.KerasTensor
    ) -> list[keras.KerasTensor]:
        """The first convolutions of `branches`, computed as one."""
        rows = [row for row, *_ in branches if isinstance(row, Conv)]
        norms = [self._norm(row) for row in rows] if self.arch.batch_norm else ()
        convolutions = [self._conv2d(row, "valid") for row in rows]
        return JointConvolutions(convolutions, norms, name=f"{module.name}_joint")(x)

    def _convolution(self, row: Conv, x: keras.KerasTensor) -> keras.KerasTensor:
        padding = [
            convolution_padding(side, row.kernel, row.stride, self.arch.padding)
            for side in x.shape[1:3]
        ]
        window = _Window(row.name, row.kernel, row.stride, padding)
        x = self._conv2d(row, window.keras_padding(x))(window.pad(x))
        if self.arch.batch_norm:
            x = self._norm(row)(x)
        return layers.ReLU(name=f"{row.name}_relu")(x)

    def _conv2d(self, row: Conv, padding: str) -> layers.Conv2D:
        first = row == self.arch.rows[0]
        return layers.Conv2D(
            row.filters,
            row.kernel,
            row.stride,
            padding=padding,
            use_bias=not self.arch.batch_norm,
            kernel_initializer=self.initialization.kernel(
                PIXEL_STDDEV / self.arch.pixel_scale if first else 1.0
            ),
            bias_initializer=keras.initializers.Constant(self.initialization.bias),
            name=row.name,
        )

    def _norm(self, row: Conv) -> FusedBatchNormalization:
        return FusedBatchNormalization(scale=self.arch.gamma, name=f"{row.name}_bn")

    def _max_pool(self, row: MaxPool, x: keras.KerasTensor) -> keras.KerasTensor:
        # Zeros may stand for minus infinity, since every map that is pooled is a
        # ReLU's; unlike minus infinity they survive int8.
        padding = [
            pool_padding(side, row.window, row.stride, self.arch.padding)
            for side in x.shape[1:3]
        ]
        window = _Window(row.name, row.window, row.stride, padding)
        pool = layers.MaxPooling2D(
            row.window, row.stride, padding=window.keras_padding(x), name=row.name
        )
        return pool(window.pad(x))

    def _auxiliary_head(
        self, head: AuxiliaryHead, x: keras.KerasTensor
    ) -> keras.KerasTensor:
        x = self._auxiliary_pool(head, x)
        x = self._convolution(Conv(f"{head.name}_conv", head.filters, 1), x)
        x = layers.Flatten(name=f"{head.name}_flatten")(x)
        x = layers.Dense(
            head.units,
            "relu",
            kernel_initializer=self.initialization.kernel(),
            bias_initializer=keras.initializers.Constant(self.initialization.bias),
            name=f"{head.name}_fc",
        )(x)
        x = layers.Dropout(self.arch.auxiliary_dropout, name=f"{head.name}_dropout")(x)
        return self._logits(head.name, x)

    def _auxiliary_pool(
        self, head: AuxiliaryHead, x: keras.KerasTensor
    ) -> keras.KerasTensor:
        name = f"{head.name}_pool"
        if self.arch.auxiliary_pool == "adaptive 4x4":
            return layers.AdaptiveAveragePooling2D((4, 4), name=name)(x)
        windows = [auxiliary_window(self.arch, side) for side in x.shape[1:3]]
        (height, stride, _), (width, _, _) = windows
        return layers.AveragePooling2D((height, width), stride, name=name)(x)

    def _logits(self, name: str, x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.Dense(
            self.classes,
            kernel_initializer=self.initialization.classifier(),
            name=name,
            dtype="float32",
        )(x)


@dataclass(frozen=True)
class _Window:
    """The window of a convolution or pooling, with zeros before and after each axis."""

    name: str
    size: int
    stride: int
    padding: list[tuple[int, int]]

    def keras_padding(self, x: keras.KerasTensor) -> str:
        """The layer's `padding`: "valid" for padded input, unless "same" will do."""
        same = [
            convolution_padding(side, self.size, self.stride, "same")
            for side in x.shape[1:3]
        ]
        return "same" if self.padding == same else "valid"

    def pad(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """`x` with explicit zeros, unless the layer's own padding does it."""
        if self.keras_padding(x) == "same" or self.padding == [(0, 0)] * 2:
            return x
        return layers.ZeroPadding2D(self.padding, name=f"{self.name}_padding")(x)
