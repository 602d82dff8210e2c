"""The four published shapes of GoogLeNet, and any other as data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from googlenet_keras.architecture.checks import check
from googlenet_keras.architecture.rows import (
    AuxiliaryHead,
    Conv,
    Inception,
    MaxPool,
    ResponseNorm,
    Row,
)
from googlenet_keras.architecture.table1 import HEADS, TABLE_1
from googlenet_keras.errors import UserError, unknown_choice

WIDTH_STEP = 8  # every width of Table 1 is a multiple of 8; tensor cores want it too


@dataclass(frozen=True)
class Architecture:
    """A network as data; the builder, the arithmetic and the weight maps read it.

    padding: "symmetric" (Caffe, PyTorch: convolutions padded alike on both sides, pools
    in ceil mode), "floor" (the same, with pools in floor mode) or "same" (TensorFlow).
    auxiliary_pool: "5x5/3" windows, smaller where the map is, or "adaptive 4x4". Pixels
    enter as (pixel - pixel_mean) / pixel_scale. differences: what is not as in the
    paper, a sentence each.
    """

    name: str
    rows: tuple[Row, ...] = TABLE_1
    heads: tuple[AuxiliaryHead, ...] = HEADS
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

    def widths(self) -> dict[str, int]:
        """Filters by layer name: every convolution and the heads' dense layers."""
        found: dict[str, int] = {}
        for row in self.rows:
            found.update((conv.name, conv.filters) for conv in _convolutions(row))
        for head in self.heads:
            found[f"{head.name}_conv"] = head.filters
            found[f"{head.name}_fc"] = head.units
        return found

    def with_widths(self, widths: Mapping[str, int]) -> Architecture:
        """The same network with other filter counts, by the names of `widths()`.

        Raises UserError for a name that is no layer and for a count below 1.
        """
        known = self.widths()
        for name, filters in widths.items():
            if name not in known:
                raise unknown_choice("a width's layer", name, known)
            if filters < 1:
                raise UserError(f"the width of {name} must be at least 1; "
                                f"received {filters}.")  # fmt: skip
        merged = known | dict(widths)
        return replace(
            self,
            rows=tuple(_row_with_widths(row, merged) for row in self.rows),
            heads=tuple(_head_with_widths(head, merged) for head in self.heads),
        )

    def widened(self, multiplier: float) -> Architecture:
        """Every width times `multiplier`, rounded to multiples of 8, never below 8."""
        if not (math.isfinite(multiplier) and multiplier > 0):
            raise UserError(f"width must be above 0; received {multiplier}.")
        if multiplier == 1:
            return self
        steps = {
            n: round(w * multiplier / WIDTH_STEP) for n, w in self.widths().items()
        }
        return self.with_widths({n: WIDTH_STEP * max(s, 1) for n, s in steps.items()})

    def to_json(self) -> dict[str, Any]:
        """Plain lists, strings and numbers; `from_json` gives the same back."""
        rows = [{"kind": type(r).__name__} | dataclasses.asdict(r) for r in self.rows]
        return dataclasses.asdict(self) | {"rows": rows}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Architecture:
        """Reads what `to_json` gave. Raises UserError for anything else."""
        try:
            fields = {key: _tuples(value) for key, value in data.items()}
            fields["rows"] = tuple(_row_from_json(row) for row in data["rows"])
            fields["heads"] = tuple(AuxiliaryHead(**head) for head in data["heads"])
            arch = cls(**fields)
            check(arch)
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"this is no architecture: {error}.") from error
        return arch


_KINDS = {kind.__name__: kind for kind in (Conv, MaxPool, ResponseNorm, Inception)}


def _row_from_json(data: Mapping[str, Any]) -> Row:
    return _KINDS[data["kind"]](**{k: v for k, v in data.items() if k != "kind"})


def _tuples(value: Any) -> Any:
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


def _without_response_norm(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(row for row in rows if not isinstance(row, ResponseNorm))


def _with_pool4(rows: tuple[Row, ...], window: int) -> tuple[Row, ...]:
    return tuple(
        replace(row, name=f"pool4_{window}x{window}_s2", window=window)
        if row.name.startswith("pool4")
        else row
        for row in rows
    )


PAPER = Architecture(
    "paper",
    pixel_mean=(123.0, 117.0, 104.0),  # Caffe's B,G,R 104,117,123, in R,G,B order
    pixel_scale=1.0,
    differences=(
        "Padding is Caffe's bvlc_googlenet, since the paper states none.",
        "Pixels lose Caffe's mean (123, 117, 104), since the paper states none.",
    ),
)

BATCH_NORM = replace(
    PAPER,
    name="bn",
    rows=_without_response_norm(TABLE_1),
    batch_norm=True,
    dropout=0.2,
    pixel_mean=(127.5, 127.5, 127.5),
    pixel_scale=127.5,
    differences=(
        PAPER.differences[0],
        "Batch normalisation after every convolution, which then has no bias; "
        "no local response normalisation.",
        "Dropout 0.2 before the main classifier in place of 0.4.",
        "Pixels enter in -1..1, as TF-Slim's do, in place of pixel minus mean.",
    ),
)

TORCHVISION = replace(
    BATCH_NORM,
    name="torchvision",
    rows=_with_pool4(BATCH_NORM.rows, 2),
    wide_kernel=3,
    auxiliary_pool="adaptive 4x4",
    differences=(
        *BATCH_NORM.differences,
        "The 5x5 branches have 3x3 kernels (pytorch/vision#906).",
        "pool4 has 2x2 windows in place of 3x3.",
        "Auxiliary pooling is adaptive to 4x4: windows start at 0, 3, 7, 10 "
        "in place of 0, 3, 6, 9.",
    ),
)

SLIM = replace(
    BATCH_NORM,
    name="slim",
    rows=_with_pool4(BATCH_NORM.rows, 2),
    wide_kernel=3,
    gamma=False,
    padding="same",
    differences=(
        *BATCH_NORM.differences[1:],
        "The 5x5 branches have 3x3 kernels (tensorflow/models#2545).",
        "pool4 has 2x2 windows in place of 3x3.",
        "Batch normalisation shifts but does not scale: there is no gamma.",
        "Padding is TensorFlow's SAME: conv1 on 224 pixels pads 2 before and 3 after.",
        "TF-Slim publishes no auxiliary heads; these are the bn variant's.",
    ),
)

VARIANTS = {v.name: v for v in (BATCH_NORM, PAPER, TORCHVISION, SLIM)}


def get_architecture(variant: str | Architecture) -> Architecture:
    """The Architecture of that name, or the one given. Raises UserError."""
    if isinstance(variant, Architecture):
        return variant
    if variant not in VARIANTS:
        raise unknown_choice("variant", variant, VARIANTS)
    return VARIANTS[variant]
