"""The Architecture dataclass: describes a network as data and validates it."""

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal, Self

from googlenet_keras.architecture.rows import (
    AuxiliaryHead,
    Conv,
    Inception,
    MaxPool,
    ResponseNorm,
    Row,
)
from googlenet_keras.architecture.table1 import AUXILIARY_HEADS, TABLE_1
from googlenet_keras.errors import UserError, unknown_choice_error

WIDTH_STEP = 8  # every width of Table 1 is a multiple of 8; tensor cores want it too
NAME_PATTERN = re.compile(
    r"\w[\w-]{0,99}", re.ASCII
)  # they become names of files and layers
HEAD_NAMES = tuple(head.name for head in AUXILIARY_HEADS)
ROW_KINDS = {kind.__name__: kind for kind in (Conv, MaxPool, ResponseNorm, Inception)}
ALLOWED_FIELD_VALUES: dict[str, tuple[object, ...]] = {
    "padding": ("symmetric", "same", "floor"),
    "auxiliary_pool": ("5x5/3", "adaptive 4x4"),
    "batch_norm": (True, False),
    "gamma": (True, False),
    "wide_kernel": (1, 3, 5, 7),
}


@dataclass(frozen=True)
class Architecture:
    """Describes a network as data, for the builder, the arithmetic and the weight maps.

    padding: "symmetric" (Caffe, PyTorch: convolutions padded alike on both sides, pools
    in ceil mode), "floor" (the same, with pools in floor mode) or "same" (TensorFlow).
    wide_kernel: side of the kernel of the modules' 5x5 branch. auxiliary_pool: "5x5/3"
    windows, smaller where the map is, or "adaptive 4x4". Pixels enter as (pixel -
    pixel_mean) / pixel_scale. differences: what is not as in the paper, a sentence
    each. Raises UserError for values that no network can have.
    """

    name: str
    rows: tuple[Row, ...] = TABLE_1
    heads: tuple[AuxiliaryHead, ...] = AUXILIARY_HEADS
    wide_kernel: int = 5
    batch_norm: bool = False
    gamma: bool = True
    padding: Literal["symmetric", "same", "floor"] = "symmetric"
    auxiliary_pool: Literal["5x5/3", "adaptive 4x4"] = "5x5/3"
    dropout: float = 0.4
    auxiliary_dropout: float = 0.7
    pixel_mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    pixel_scale: float = 127.5
    differences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_values()
        self._check_names()
        self._check_heads()

    def _check_values(self) -> None:
        for field, known in ALLOWED_FIELD_VALUES.items():
            value = getattr(self, field)
            if value not in known or type(value) is not type(known[0]):
                raise unknown_choice_error(field, str(value), map(str, known))
        for field in ("dropout", "auxiliary_dropout"):
            value = getattr(self, field)
            is_rate = _is_finite(value) and 0 <= value < 1
            self._require(is_rate, field, "at least 0 and below 1")
        scale, mean = self.pixel_scale, self.pixel_mean
        is_scale = _is_finite(scale) and scale > 0
        self._require(is_scale, "pixel_scale", "a finite number above 0")
        is_mean = (
            _is_tuple_of(Real, mean) and len(mean) == 3 and all(map(_is_finite, mean))
        )
        self._require(is_mean, "pixel_mean", "a tuple of three numbers")
        has_rows = _is_tuple_of(Row, self.rows) and bool(self.rows)
        self._require(has_rows, "rows", "a tuple of one row or more, as in rows.py")
        has_heads = _is_tuple_of(AuxiliaryHead, self.heads)
        self._require(has_heads, "heads", "a tuple of AuxiliaryHead")
        has_differences = _is_tuple_of(str, self.differences)
        self._require(has_differences, "differences", "a tuple of sentences")

    def _check_names(self) -> None:
        names = [part.name for part in (*self.rows, *self.heads)]
        for name in (self.name, *names):
            if not (isinstance(name, str) and NAME_PATTERN.fullmatch(name)):
                raise UserError(
                    "an architecture, its rows and its heads must be named by letters, "
                    f"digits, _ and -; received {name!r:.200}."
                )
        are_unique = len(set(names)) == len(names)
        self._require(are_unique, "rows", "rows and heads with names of their own")

    def _check_heads(self) -> None:
        modules = [row.name for row in self.rows if isinstance(row, Inception)]
        for head in self.heads:
            if head.name not in HEAD_NAMES:
                raise unknown_choice_error("an auxiliary head", head.name, HEAD_NAMES)
            if head.after not in modules:
                place = f"the place of {head.name}"
                raise unknown_choice_error(place, str(head.after), modules)

    def _require(self, holds: bool, field: str, rule: str) -> None:
        if not holds:
            received = getattr(self, field)
            raise UserError(
                f"{field} of an architecture must be {rule}; "
                f"received {received!r:.200}."
            )

    def widths(self) -> dict[str, int]:
        """Filters of convolutions and units of hidden dense layers, by layer name."""
        widths: dict[str, int] = {}
        for row in self.rows:
            widths.update((conv.name, conv.filters) for conv in _convolutions(row))
        for head in self.heads:
            widths[f"{head.name}_conv"] = head.filters
            widths[f"{head.name}_fc"] = head.units
        return widths

    def with_widths(self, widths: Mapping[str, int]) -> Self:
        """Returns a copy of the network with the given filter counts, by layer name.

        Raises UserError for an unknown layer and for a count below 1.
        """
        known = self.widths()
        for name, filters in widths.items():
            if name not in known:
                raise unknown_choice_error("a width's layer", name, known)
            if filters < 1:
                raise UserError(
                    f"the width of {name} must be at least 1; received {filters}."
                )
        merged = known | dict(widths)
        return replace(
            self,
            rows=tuple(_row_with_widths(row, merged) for row in self.rows),
            heads=tuple(_head_with_widths(head, merged) for head in self.heads),
        )

    def scale_width(self, multiplier: float) -> Self:
        """The same network, every width times `multiplier`.

        Widths are rounded to multiples of 8, never below 8. Raises UserError for a
        multiplier that is not above 0.
        """
        if not (math.isfinite(multiplier) and multiplier > 0):
            raise UserError(f"width must be above 0; received {multiplier}.")
        if multiplier == 1:
            return self
        steps = {
            n: round(w * multiplier / WIDTH_STEP) for n, w in self.widths().items()
        }
        return self.with_widths({n: WIDTH_STEP * max(s, 1) for n, s in steps.items()})

    def to_json(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, which `from_json` reads."""
        rows = [{"kind": type(r).__name__} | dataclasses.asdict(r) for r in self.rows]
        return dataclasses.asdict(self) | {"rows": rows}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Builds an Architecture from the output of `to_json`.

        Raises UserError for anything else.
        """
        try:
            fields = {key: _to_tuple(value) for key, value in data.items()}
            fields["rows"] = tuple(_row_from_json(row) for row in data["rows"])
            fields["heads"] = tuple(AuxiliaryHead(**head) for head in data["heads"])
            return cls(**fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"this is no architecture: {error}.") from error


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _is_tuple_of(kind: Any, values: object) -> bool:
    """Whether `values` is a tuple whose items are all of type `kind`."""
    return isinstance(values, tuple) and all(isinstance(v, kind) for v in values)


def _row_from_json(data: Mapping[str, Any]) -> Row:
    return ROW_KINDS[data["kind"]](**{k: v for k, v in data.items() if k != "kind"})


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _convolutions(row: Row) -> list[Conv]:
    if isinstance(row, Conv):
        return [row]
    if not isinstance(row, Inception):
        return []
    steps = [step for branch in row.branches(wide_kernel=5) for step in branch]
    return [step for step in steps if isinstance(step, Conv)]


def _row_with_widths(row: Row, widths: Mapping[str, int]) -> Row:
    filters = [widths[conv.name] for conv in _convolutions(row)]
    if isinstance(row, Conv):
        return replace(row, filters=filters[0])
    return Inception(row.name, *filters) if isinstance(row, Inception) else row


def _head_with_widths(head: AuxiliaryHead, widths: Mapping[str, int]) -> AuxiliaryHead:
    return replace(
        head, filters=widths[f"{head.name}_conv"], units=widths[f"{head.name}_fc"]
    )
