"""The Architecture dataclass: describes a network as data and validates it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from numbers import Real
from typing import Any, Literal, Self, get_args

from googlenet_keras.architecture.table1 import (
    AUXILIARY_HEADS,
    MAX_WIDTH,
    TABLE_1,
    AuxiliaryHead,
    Inception,
    Row,
)
from googlenet_keras.errors import UserError, unknown_choice_error

WIDTH_STEP = 8  # every width of Table 1 is a multiple of 8; tensor cores want it too
MIN_WIDTH_MULTIPLIER = 1e-9  # rounds every width to 8
MAX_WIDTH_MULTIPLIER = 100.0
MAX_ROWS = 256  # GoogLeNet has 20
PIXEL_SCALES = (1e-6, 1e6)
NAME_PATTERN = re.compile(r"\w[\w-]{0,99}", re.ASCII)  # of files and layers
DENSE_LAYER = "main_fc"  # in the main head, as aux1_fc is in the first auxiliary one
HEAD_NAMES = tuple(head.name for head in AUXILIARY_HEADS)
ROW_KINDS = {kind.__name__: kind for kind in get_args(Row)}
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
    windows, smaller where the map is, or "adaptive 4x4". dense_units: of a dense layer
    on the flattened last map; None: global average pooling. Pixels enter as (pixel -
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
    dense_units: int | None = None
    dropout: float = 0.4
    auxiliary_dropout: float = 0.7
    pixel_mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    pixel_scale: float = 127.5
    differences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, known in ALLOWED_FIELD_VALUES.items():
            value = getattr(self, field)
            if value not in known or type(value) is not type(known[0]):
                raise unknown_choice_error(field, str(value), map(str, known))
        rate, scale, mean = "at least 0 and below 1", self.pixel_scale, self.pixel_mean
        most = PIXEL_SCALES[1]
        is_rgb = _is_tuple(mean, Real) and len(mean) == 3
        is_rgb = is_rgb and all(-most <= value <= most for value in mean)
        is_scale = isinstance(scale, Real) and PIXEL_SCALES[0] <= scale <= most
        some_rows = f"a tuple of one row or more, at most {MAX_ROWS}, as in table1.py"
        has_rows = _is_tuple(self.rows, Row) and 0 < len(self.rows) <= MAX_ROWS
        units = 1 if self.dense_units is None else self.dense_units
        is_width = type(units) is int and 1 <= units <= MAX_WIDTH
        rules = {
            "dense_units": (is_width, f"none or a whole number from 1 to {MAX_WIDTH}"),
            "dropout": (_is_rate(self.dropout), rate),
            "auxiliary_dropout": (_is_rate(self.auxiliary_dropout), rate),
            "pixel_scale": (
                is_scale,
                "a number from {:g} to {:g}".format(*PIXEL_SCALES),
            ),
            "pixel_mean": (is_rgb, f"a tuple of three numbers up to {most:g}"),
            "rows": (has_rows, some_rows),
            "heads": (_is_tuple(self.heads, AuxiliaryHead), "a tuple of AuxiliaryHead"),
            "differences": (_is_tuple(self.differences, str), "a tuple of sentences"),
        }
        for field, (holds, rule) in rules.items():
            if not holds:
                raise UserError(
                    f"{field} of an architecture must be {rule}; "
                    f"received {getattr(self, field)!r:.200}."
                )
        self._check_names()

    def _check_names(self) -> None:
        names = [part.name for part in (*self.rows, *self.heads)]
        for name in (self.name, *names):
            if not (isinstance(name, str) and NAME_PATTERN.fullmatch(name)):
                raise UserError(
                    "an architecture, its rows and its heads must be named by letters, "
                    f"digits, _ and -; received {name!r:.200}."
                )
        if len(set(names)) < len(names):
            raise UserError(
                "rows and heads of an architecture must have names of their own; "
                f"received {names!r:.200}."
            )
        modules = [row.name for row in self.rows if isinstance(row, Inception)]
        for head in self.heads:
            if head.name not in HEAD_NAMES:
                raise unknown_choice_error("an auxiliary head", head.name, HEAD_NAMES)
            if head.after not in modules:
                place = f"the place of {head.name}"
                raise unknown_choice_error(place, str(head.after), modules)

    def widths(self) -> dict[str, int]:
        """Filters of convolutions and units of hidden dense layers, by layer name."""
        widths: dict[str, int] = {}
        for part in (*self.rows, *self.heads):
            widths |= part.widths()
        return widths | ({DENSE_LAYER: self.dense_units} if self.dense_units else {})

    def with_widths(self, widths: Mapping[str, int]) -> Self:
        """Returns a copy of the network with the given filter counts, by layer name.

        Raises UserError for an unknown layer and for a count below 1.
        """
        known = self.widths()
        for name in sorted(widths.keys() - known.keys()):
            raise unknown_choice_error("a width's layer", name, known)
        for name, width in widths.items():
            if type(width) is not int or width < 1:
                raise UserError(
                    f"the width of {name} must be a whole number from 1; "
                    f"received {width!r}."
                )
        merged = known | dict(widths)

        def resize(part: Any) -> Any:
            fields = part.WIDTHS.items()
            new = {field: merged.get(part.name + end) for end, field in fields}
            return replace(part, **new)

        return replace(
            self,
            rows=tuple(map(resize, self.rows)),
            heads=tuple(map(resize, self.heads)),
            dense_units=merged.get(DENSE_LAYER),
        )

    def scale_width(self, multiplier: float) -> Self:
        """The same network, every width times `multiplier`.

        Widths are rounded to multiples of 8, never below 8. Raises UserError for a
        multiplier out of range.
        """
        if not MIN_WIDTH_MULTIPLIER <= multiplier <= MAX_WIDTH_MULTIPLIER:
            raise UserError(
                f"width must be at least {MIN_WIDTH_MULTIPLIER:g} and at most "
                f"{MAX_WIDTH_MULTIPLIER:g}; received {multiplier}."
            )
        if multiplier == 1:
            return self
        widths = {
            name: WIDTH_STEP * max(round(width * multiplier / WIDTH_STEP), 1)
            for name, width in self.widths().items()
        }
        return self.with_widths(widths)

    def to_json(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, which `from_json` reads."""
        rows = [{"kind": type(r).__name__} | asdict(r) for r in self.rows]
        return asdict(self) | {"rows": rows}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Builds an Architecture from the output of `to_json`, or raises UserError."""
        try:
            rows = [{**row} for row in data["rows"]]
            fields: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in data.items()
            }
            fields["rows"] = tuple(ROW_KINDS[row.pop("kind")](**row) for row in rows)
            fields["heads"] = tuple(AuxiliaryHead(**head) for head in data["heads"])
            return cls(**fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"this is no architecture: {error}.") from error


def _is_rate(value: Any) -> bool:
    is_number = isinstance(value, Real)
    return is_number and 0 <= value < 1


def _is_tuple(values: object, kind: Any) -> bool:
    return isinstance(values, tuple) and all(isinstance(v, kind) for v in values)
