"""Row types of the table that a network is built from."""

from dataclasses import dataclass, fields

from googlenet_keras.errors import UserError


@dataclass(frozen=True)
class _RowWithCounts:
    """A named row whose numbers must be positive integers.

    Raises UserError for others.
    """

    name: str

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and (type(value) is not int or value < 1):
                raise UserError(
                    f"{field.name} of {self.name} must be a whole number from 1; "
                    f"received {value!r}."
                )


@dataclass(frozen=True)
class Conv(_RowWithCounts):
    """A square convolution, batch normalization if the variant has it, and ReLU."""

    filters: int
    kernel: int
    stride: int = 1


@dataclass(frozen=True)
class MaxPool(_RowWithCounts):
    """Max pooling with a square window."""

    window: int
    stride: int


@dataclass(frozen=True)
class ResponseNorm:
    """Local response normalization across channels."""

    name: str


Branch = tuple[Conv | MaxPool, ...]


@dataclass(frozen=True)
class Inception(_RowWithCounts):
    """One Inception module; the fields are Table 1's columns of filters."""

    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce5x5: int
    conv5x5: int
    pool_proj: int

    @property
    def filters(self) -> int:
        """Channels of the concatenated branches."""
        return self.conv1x1 + self.conv3x3 + self.conv5x5 + self.pool_proj

    def branches(self, wide_kernel: int) -> tuple[Branch, ...]:
        """The four branches in the order of their concatenation.

        wide_kernel: side of the third branch's kernel, 5 in the paper.
        """
        name = self.name
        return (
            (Conv(f"{name}_1x1", self.conv1x1, 1),),
            (
                Conv(f"{name}_3x3_reduce", self.reduce3x3, 1),
                Conv(f"{name}_3x3", self.conv3x3, 3),
            ),
            (
                Conv(f"{name}_5x5_reduce", self.reduce5x5, 1),
                Conv(f"{name}_5x5", self.conv5x5, wide_kernel),
            ),
            (
                MaxPool(f"{name}_pool", 3, 1),
                Conv(f"{name}_pool_proj", self.pool_proj, 1),
            ),
        )


@dataclass(frozen=True)
class AuxiliaryHead(_RowWithCounts):
    """A classifier on the output of module `after`, used in training only.

    Average pooling, a 1x1 convolution of `filters`, a dense layer of `units`, dropout
    and the logits (section 5 of the paper).
    """

    after: str
    filters: int
    units: int


Row = Conv | MaxPool | ResponseNorm | Inception
