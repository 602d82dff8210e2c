"""The search space: converts hyperparameters to an Architecture and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras_tuner
import numpy as np

from googlenet_keras.architecture.architecture import WIDTH_STEP, Architecture
from googlenet_keras.architecture.variants import VARIANTS
from googlenet_keras.errors import UserError

STAGE_PREFIXES = (
    "inception_3",
    "inception_4",
    "inception_5",
)  # all before them is the "stem"
MIN_WIDTH_FACTOR, MAX_WIDTH_FACTOR, WIDTH_FACTOR_STEP = (
    0.25,
    2.0,
    0.0625,
)  # of the uniform widths
DROPOUT_CHOICES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
LEARNING_RATE_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
HEAD_CHOICES = {
    "both": ("aux1", "aux2"),
    "aux1": ("aux1",),
    "aux2": ("aux2",),
    "none": (),
}
SEARCHED_WIDTHS_DIFFERENCE = "Filter counts come from a search, not from Table 1."
Values = Mapping[str, Any]
"""The value of each hyperparameter by its name."""


@dataclass(frozen=True)
class Space:
    """The networks that a search may try: widths around those of `base`.

    base: the uniform network of the budget's size; its auxiliary heads keep their
    widths. level: "coarse", a factor for each stage, 1/4 to 2 in sixteenths; or "fine",
    a multiple of 8 for each convolution, in the same range. tune: of dropout,
    learning_rate, variant and heads, those that are searched too. grids: the ascending
    values that each width hyperparameter may have.
    """

    base: Architecture
    level: str = "coarse"
    tune: tuple[str, ...] = ()
    grids: dict[str, tuple[float, ...]] = field(init=False)
    _widths: dict[str, int] = field(init=False, repr=False)  # of the deployed network

    def __post_init__(self) -> None:
        object.__setattr__(self, "_widths", _deployed_widths(self.base))
        object.__setattr__(self, "grids", self._make_grids())

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """Everything that is searched, as keras-tuner describes it."""
        hp = keras_tuner.HyperParameters()
        for name, grid in self.grids.items():
            add = hp.Float if self.level == "coarse" else hp.Int
            add(name, grid[0], grid[-1], step=grid[1] - grid[0])
        if "dropout" in self.tune:
            hp.Choice("dropout", DROPOUT_CHOICES, default=DROPOUT_CHOICES[2])
        if "learning_rate" in self.tune:
            hp.Choice("learning_rate", LEARNING_RATE_FACTORS, default=1.0)
        if "variant" in self.tune:
            names = [name for name, arch in VARIANTS.items() if arch.batch_norm]
            hp.Choice("variant", names, default=names[0])
        if "heads" in self.tune:
            hp.Choice("heads", list(HEAD_CHOICES), default="both")
        return hp

    def to_architecture(self, values: Values) -> Architecture:
        """The network with these hyperparameters; unknown names are ignored."""
        widths = self.base.widths() | {
            layer: self._width(layer, values[name])
            for name in self.grids
            for layer in self._layers(name)
        }
        arch = VARIANTS[values["variant"]] if "variant" in values else self.base
        heads = tuple(head.name for head in arch.heads)
        heads = HEAD_CHOICES[values["heads"]] if "heads" in values else heads
        differences = [d for d in arch.differences if d != SEARCHED_WIDTHS_DIFFERENCE]
        arch = arch.with_widths(widths)
        return replace(
            arch,
            heads=tuple(head for head in arch.heads if head.name in heads),
            dropout=values.get("dropout", arch.dropout),
            differences=(*differences, SEARCHED_WIDTHS_DIFFERENCE),
        )

    def to_values(self, arch: Architecture) -> dict[str, Any]:
        """The hyperparameters of `arch`; the smallest if several give its widths.

        Raises UserError for a network outside the space.
        """
        values: dict[str, Any] = {name: self._value(name, arch) for name in self.grids}
        if "dropout" in self.tune:
            values["dropout"] = arch.dropout
        if "variant" in self.tune:
            values["variant"] = arch.name
        if "heads" in self.tune:
            heads = tuple(head.name for head in arch.heads)
            values["heads"] = next(n for n, c in HEAD_CHOICES.items() if c == heads)
        return values

    def scale(self, values: Values, factor: float) -> dict[str, Any]:
        """Multiplies every width by `factor`, rounded down to its grid."""
        return dict(values) | {
            name: _round_down(values[name] * factor, grid)
            for name, grid in self.grids.items()
        }

    def increment(self, values: Values, name: str) -> dict[str, Any] | None:
        """Raises the width `name` to the next value of its grid; None at the end."""
        larger = [value for value in self.grids[name] if value > values[name]]
        return dict(values) | {name: larger[0]} if larger else None

    def _make_grids(self) -> dict[str, tuple[float, ...]]:
        if self.level == "fine":
            return {layer: _multiples(width) for layer, width in self._widths.items()}
        factors = np.arange(
            MIN_WIDTH_FACTOR,
            MAX_WIDTH_FACTOR + WIDTH_FACTOR_STEP / 2,
            WIDTH_FACTOR_STEP,
        )
        stages = dict.fromkeys(_stage(layer) for layer in self._widths)
        return dict.fromkeys(stages, tuple(map(float, factors)))

    def _layers(self, name: str) -> list[str]:
        """The layers whose widths the hyperparameter `name` decides."""
        if self.level == "fine":
            return [name]
        return [layer for layer in self._widths if _stage(layer) == name]

    def _width(self, layer: str, value: float) -> int:
        if self.level == "fine":
            return int(value)
        width = self._widths[layer] * value
        return WIDTH_STEP * max(1, round(width / WIDTH_STEP))

    def _value(self, name: str, arch: Architecture) -> float:
        widths = arch.widths()
        for value in self.grids[name]:
            if all(self._width(x, value) == widths[x] for x in self._layers(name)):
                return value
        raise UserError(f"the widths of {name} are not in the space of this search.")


def _deployed_widths(arch: Architecture) -> dict[str, int]:
    """The widths of the network without its auxiliary heads."""
    heads = tuple(f"{head.name}_" for head in arch.heads)
    return {n: w for n, w in arch.widths().items() if not n.startswith(heads)}


def _stage(layer: str) -> str:
    return next((stage for stage in STAGE_PREFIXES if layer.startswith(stage)), "stem")


def _multiples(width: int) -> tuple[int, ...]:
    """Multiples of 8 from a quarter of `width` to twice it, at least two of them."""
    low = WIDTH_STEP * max(1, round(width * MIN_WIDTH_FACTOR / WIDTH_STEP))
    high = WIDTH_STEP * round(width * MAX_WIDTH_FACTOR / WIDTH_STEP)
    return tuple(range(low, max(high, low + WIDTH_STEP) + 1, WIDTH_STEP))


def _round_down(value: float, grid: tuple[float, ...]) -> float:
    return max((x for x in grid if x <= value), default=grid[0])
