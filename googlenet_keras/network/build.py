"""Builds the Keras functional model of an Architecture: trunk, modules, three heads."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
from keras import KerasTensor, layers

from googlenet_keras import machine
from googlenet_keras.architecture import arithmetic, table1
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.errors import UserError, unknown_choice_error
from googlenet_keras.network.layers import (
    FusedBatchNormalization,
    JointConvolutions,
    LocalResponseNormalization,
    PortableResponseNormalization,
)

ACTIVATION_MAP = "activation_map"  # name of the layer and of the output
PIXEL_STDDEV = 60.0  # typical standard deviation of photographs' pixels in 0..255


@dataclass(frozen=True)
class Initialization:
    """Distributions of the initial weights (variance `scale` / fan-in) and biases.

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
    phones' accelerators have. Raises UserError for an unknown name, a size out of range
    and a network that cannot be built or does not fit into memory.
    """
    arch = get_architecture(variant).scale_width(width).with_widths(widths or {})
    if initialization not in INITIALIZATIONS:
        raise unknown_choice_error("initialization", initialization, INITIALIZATIONS)
    counted = arithmetic.layers(arch, classes, image_size, auxiliary)
    values = sum(x.parameters for x in counted) + max(x.values for x in counted)
    machine.check_memory(
        arithmetic.VALUE_BYTES * values,
        f"the network {arch.name}, for an image of {image_size} pixels,",
        "Make it narrower, or the image smaller.",
    )
    builder = _Builder(arch, classes, INITIALIZATIONS[initialization], joint, portable)
    image = keras.Input((*arithmetic.height_and_width(image_size), 3), name="image")
    try:
        outputs = builder.outputs(image, auxiliary)
        return keras.Model(image, outputs, name=f"googlenet_{arch.name}")
    except ValueError as error:  # such as two layers of one name
        raise UserError(f"{arch.name} cannot be built: {error}") from error


@dataclass(frozen=True)
class _Builder:
    """Connects the layers of one network; x is [batch, height, width, channels]."""

    arch: Architecture
    classes: int
    initialization: Initialization
    joint: bool
    portable: bool

    def outputs(self, image: KerasTensor, auxiliary: bool) -> dict[str, KerasTensor]:
        scale = 1.0 / self.arch.pixel_scale
        offsets = [-mean * scale for mean in self.arch.pixel_mean]
        # one number is added several times faster than three
        offset = offsets[0] if len(set(offsets)) == 1 else offsets
        x = layers.Rescaling(scale, offset, name="pixels", dtype="float32")(image)
        heads = {}
        for row in self.arch.rows:
            x = self._row(row, x)
            for head in self.arch.heads if auxiliary else ():
                if head.after == row.name:
                    heads[head.name] = self._head(head, x)
        if self.arch.dense_units is None:
            x = layers.GlobalAveragePooling2D(name="average_pool")(x)  # [batch, 1024]
        else:
            x = self._dense("main", self.arch.dense_units, x)
        x = layers.Dropout(self.arch.dropout, name="dropout")(x)
        return {"main": self._logits("main", x), **heads}

    def _row(self, row: table1.Row, x: KerasTensor) -> KerasTensor:
        if isinstance(row, table1.Conv):
            return self._convolution(row, x)
        if isinstance(row, table1.MaxPool):
            # Zeros may stand for minus infinity, since every map that is pooled is a
            # ReLU's; unlike minus infinity they survive int8.
            x, padding = self._pad(x, row)
            pool = layers.MaxPooling2D(row.window, row.stride, padding, name=row.name)
            return pool(x)
        if isinstance(row, table1.Inception):
            return self._inception(row, x)
        portable, plain = PortableResponseNormalization, LocalResponseNormalization
        return (portable if self.portable else plain)(name=row.name)(x)

    def _inception(self, module: table1.Inception, x: KerasTensor) -> KerasTensor:
        first = self._joint_convolutions(module, x) if self.joint else {}
        ends = []
        for branch in module.branches(self.arch.wide_kernel):
            y = x
            for row in branch:
                y = first[row.name] if row.name in first else self._row(row, y)
            ends.append(y)
        return layers.Concatenate(name=module.name)(ends)

    def _joint_convolutions(
        self, module: table1.Inception, x: KerasTensor
    ) -> dict[str, KerasTensor]:
        """Outputs of the module's 1x1 convolutions that read its input, by name."""
        first = [
            row
            for row, *_ in module.branches(self.arch.wide_kernel)
            if isinstance(row, table1.Conv) and row.kernel == 1
        ]
        if len(first) < 2:
            return {}
        norms = [self._norm(row) for row in first] if self.arch.batch_norm else ()
        convolutions = [self._conv2d(row, "valid") for row in first]
        joint = JointConvolutions(convolutions, norms, name=f"{module.name}_joint")
        return dict(zip((row.name for row in first), joint(x), strict=True))

    def _convolution(self, row: table1.Conv, x: KerasTensor) -> KerasTensor:
        x, padding = self._pad(x, row)
        x = self._conv2d(row, padding)(x)
        if self.arch.batch_norm:
            x = self._norm(row)(x)
        return layers.ReLU(name=f"{row.name}_relu")(x)

    def _conv2d(self, row: table1.Conv, padding: str) -> layers.Conv2D:
        first = row == self.arch.rows[0]
        spread = PIXEL_STDDEV / self.arch.pixel_scale if first else 1.0
        return layers.Conv2D(
            row.filters,
            row.kernel,
            row.stride,
            padding=padding,
            use_bias=not self.arch.batch_norm,
            kernel_initializer=self.initialization.kernel(spread),
            bias_initializer=keras.initializers.Constant(self.initialization.bias),
            name=row.name,
        )

    def _norm(self, row: table1.Conv) -> FusedBatchNormalization:
        return FusedBatchNormalization(scale=self.arch.gamma, name=f"{row.name}_bn")

    def _pad(
        self, x: KerasTensor, row: table1.Conv | table1.MaxPool
    ) -> tuple[KerasTensor, str]:
        """Pads `x` if the layer cannot; also returns the layer's `padding`."""
        padding, same = (
            [arithmetic.padding(row, side, rule) for side in x.shape[1:3]]
            for rule in (self.arch.padding, "same")
        )
        if padding == same:
            return x, "same"
        if any(map(any, padding)):
            x = layers.ZeroPadding2D(padding, name=f"{row.name}_padding")(x)
        return x, "valid"

    def _head(self, head: table1.AuxiliaryHead, x: KerasTensor) -> KerasTensor:
        name = head.name
        if self.arch.auxiliary_pool == "adaptive 4x4":
            pool = layers.AdaptiveAveragePooling2D((4, 4), name=f"{name}_pool")
        else:
            (height, stride, _), (width, _, _) = (
                arithmetic.auxiliary_window(self.arch, side) for side in x.shape[1:3]
            )
            pool = layers.AveragePooling2D((height, width), stride, name=f"{name}_pool")
        x = self._convolution(table1.Conv(f"{name}_conv", head.filters, 1), pool(x))
        x = self._dense(name, head.units, x)
        x = layers.Dropout(self.arch.auxiliary_dropout, name=f"{name}_dropout")(x)
        return self._logits(name, x)

    def _dense(self, head: str, units: int, x: KerasTensor) -> KerasTensor:
        """The hidden dense layer of a head on the flattened map `x`."""
        x = layers.Flatten(name=f"{head}_flatten")(x)
        return layers.Dense(
            units,
            "relu",
            kernel_initializer=self.initialization.kernel(),
            bias_initializer=keras.initializers.Constant(self.initialization.bias),
            name=f"{head}_fc",
        )(x)

    def _logits(self, name: str, x: KerasTensor) -> KerasTensor:
        if self.initialization.balanced:
            kernel = keras.initializers.RandomNormal(stddev=0.01)
        else:
            kernel = self.initialization.kernel()
        return layers.Dense(
            self.classes, kernel_initializer=kernel, name=name, dtype="float32"
        )(x)


def add_activation_map(network: keras.Model, classes: int | None = None) -> keras.Model:
    """A copy of `network`, with the same layers, that also outputs "activation_map".

    Class activation maps (arXiv 1512.04150), [batch, rows, columns, classes] float32:
    what each place adds to the class's logit, times the number of places. GoogLeNet
    ends in average pooling and one dense layer, so that they are exact: a map's mean is
    the logit. Their weights are a copy of the main classifier's. classes: how many of
    its outputs, from the first, have maps; None: all. Raises UserError for a network
    that has a dense layer in place of average pooling.
    """
    if "average_pool" not in (layer.name for layer in network.layers):
        raise UserError(
            "activation maps need global average pooling before the main classifier; "
            "this network has a dense layer there. Leave them out."
        )
    pooling, main = network.get_layer("average_pool"), network.get_layer("main")
    kernel, bias = (x[..., :classes] for x in main.get_weights())
    conv = keras.layers.Conv2D(len(bias), 1, name=ACTIVATION_MAP, dtype="float32")
    maps = conv(pooling.input)
    conv.set_weights([kernel[None, None], bias])
    return keras.Model(network.input, {**network.output, ACTIVATION_MAP: maps})
