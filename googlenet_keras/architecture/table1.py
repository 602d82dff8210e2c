"""The paper's Table 1, row by row, its two auxiliary heads, and the types of rows.

Filters as printed in arXiv 1409.4842, Table 1. Row names and the places of the two
response normalizations are those of Caffe's bvlc_googlenet.
"""

from dataclasses import dataclass, fields
from typing import ClassVar

from googlenet_keras.errors import UserError

MAX_WIDTH = 2**16  # filters or units of a layer
MAX_WINDOW = 64  # side and stride of a kernel or a pool


@dataclass(frozen=True)
class _NamedRow:
    """A named row or head; raises UserError unless its numbers are integers in range.

    WIDTHS: the field of each layer's width, by what the layer's name has after its own.
    A width of None stands for a layer that is left out, where the field allows it.
    """

    WIDTHS: ClassVar[dict[str, str]] = {}
    name: str

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_window = field.name in ("kernel", "window", "stride")
            most = MAX_WINDOW if is_window else MAX_WIDTH
            if field.type is str or (value is None and field.type is not int):
                continue
            if type(value) is not int or not 1 <= value <= most:
                raise UserError(
                    f"{field.name} of {self.name!s:.100} must be a whole number from 1 "
                    f"to {most}; received {value!r:.200}."
                )

    def widths(self) -> dict[str, int]:
        """The width of each layer that the row has, by the layer's name."""
        named = {self.name + end: getattr(self, f) for end, f in self.WIDTHS.items()}
        return {name: width for name, width in named.items() if width is not None}


@dataclass(frozen=True)
class Conv(_NamedRow):
    """A square convolution, batch normalization if the variant has it, and ReLU."""

    WIDTHS = {"": "filters"}
    filters: int
    kernel: int
    stride: int = 1

    @property
    def window(self) -> int:
        """The kernel's side, under the name that pooling rows use."""
        return self.kernel


@dataclass(frozen=True)
class MaxPool(_NamedRow):
    """Max pooling with a square window."""

    window: int
    stride: int


@dataclass(frozen=True)
class ResponseNorm(_NamedRow):
    """Local response normalization across channels."""


@dataclass(frozen=True)
class Inception(_NamedRow):
    """One Inception module; the fields are Table 1's columns of filters.

    None for a reduction: the convolution behind it reads the module's whole input. None
    for pool_proj: the pooled input is not projected and keeps its channels.
    """

    WIDTHS = {
        "_1x1": "conv1x1",
        "_3x3_reduce": "reduce3x3",
        "_3x3": "conv3x3",
        "_5x5_reduce": "reduce5x5",
        "_5x5": "conv5x5",
        "_pool_proj": "pool_proj",
    }
    conv1x1: int
    reduce3x3: int | None
    conv3x3: int
    reduce5x5: int | None
    conv5x5: int
    pool_proj: int | None

    def branches(self, wide_kernel: int) -> tuple[tuple[Conv | MaxPool, ...], ...]:
        """The four branches in the order of their concatenation.

        wide_kernel: side of the third branch's kernel, 5 in the paper.
        """
        widths = self.widths()

        def conv(end: str, kernel: int = 1) -> tuple[Conv, ...]:
            name = self.name + end
            return (Conv(name, widths[name], kernel),) if name in widths else ()

        return (
            conv("_1x1"),
            conv("_3x3_reduce") + conv("_3x3", 3),
            conv("_5x5_reduce") + conv("_5x5", wide_kernel),
            (MaxPool(f"{self.name}_pool", 3, 1), *conv("_pool_proj")),
        )


@dataclass(frozen=True)
class AuxiliaryHead(_NamedRow):
    """A classifier on the output of the module named `after`, used in training only.

    Average pooling, a 1x1 convolution of `filters`, a dense layer of `units`, dropout
    and the logits (section 5 of the paper).
    """

    WIDTHS = {"_conv": "filters", "_fc": "units"}
    after: str
    filters: int
    units: int


Row = Conv | MaxPool | ResponseNorm | Inception

# fmt: off
TABLE_1: tuple[Row, ...] = (
    Conv("conv1_7x7_s2", 64, 7, 2),
    MaxPool("pool1_3x3_s2", 3, 2),
    ResponseNorm("pool1_norm1"),
    Conv("conv2_3x3_reduce", 64, 1),
    Conv("conv2_3x3", 192, 3),
    ResponseNorm("conv2_norm2"),
    MaxPool("pool2_3x3_s2", 3, 2),
    #                        1x1  3x3r   3x3  5x5r   5x5  proj
    Inception("inception_3a",  64,   96,  128,   16,   32,   32),
    Inception("inception_3b", 128,  128,  192,   32,   96,   64),
    MaxPool("pool3_3x3_s2", 3, 2),
    Inception("inception_4a", 192,   96,  208,   16,   48,   64),
    Inception("inception_4b", 160,  112,  224,   24,   64,   64),
    Inception("inception_4c", 128,  128,  256,   24,   64,   64),
    Inception("inception_4d", 112,  144,  288,   32,   64,   64),
    Inception("inception_4e", 256,  160,  320,   32,  128,  128),
    MaxPool("pool4_3x3_s2", 3, 2),
    Inception("inception_5a", 256,  160,  320,   32,  128,  128),
    Inception("inception_5b", 384,  192,  384,   48,  128,  128),
)
# fmt: on

AUXILIARY_HEADS: tuple[AuxiliaryHead, ...] = (
    AuxiliaryHead("aux1", after="inception_4a", filters=128, units=1024),
    AuxiliaryHead("aux2", after="inception_4d", filters=128, units=1024),
)
