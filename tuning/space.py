"""What is searched: hyper-parameters that turn into an Architecture and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras_tuner
import numpy as np

from googlenet_keras.architecture.architecture import WIDTH_STEP, Architecture
from googlenet_keras.architecture.variants import VARIANTS
from googlenet_keras.errors import UserError

STAGES = ("inception_3", "inception_4", "inception_5")  # what is before them: "stem"
LEAST, MOST, STEP = 0.25, 2.0, 0.0625  # of a width of the uniform network
DROPOUT = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
RATES = (0.25, 0.5, 1.0, 2.0, 4.0)  # factors on the learning rate
HEADS = {"both": ("aux1", "aux2"), "aux1": ("aux1",), "aux2": ("aux2",), "none": ()}
DIFFERENCE = "Filter counts come from a search, not from Table 1."
Values = Mapping[str, Any]
"""A value by the name of its hyper-parameter."""


@dataclass(frozen=True)
class Space:
    """Widths around those of `base`, as proportions of it or one by one.

    base: the uniform network of the budget's size; its auxiliary heads keep their
    widths. level: "coarse", a factor for each stage, 1/4 to 2 in sixteenths; or "fine",
    a multiple of 8 for each convolution, in the same range. tune: of dropout,
    learning_rate, variant and heads, what is searched as well.
    """

    base: Architecture
    level: str = "coarse"
    tune: tuple[str, ...] = ()
    ladders: dict[str, tuple[float, ...]] = field(init=False)
    _widths: dict[str, int] = field(init=False, repr=False)  # of the deployed network

    def __post_init__(self) -> None:
        object.__setattr__(self, "_widths", _trunk(self.base))
        object.__setattr__(self, "ladders", self._ladders())

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """Everything that is searched, by name, with its range."""
        hp = keras_tuner.HyperParameters()
        for name, ladder in self.ladders.items():
            step = ladder[1] - ladder[0]
            kind = hp.Float if self.level == "coarse" else hp.Int
            kind(name, ladder[0], ladder[-1], step=step)
        if "dropout" in self.tune:
            hp.Choice("dropout", DROPOUT, default=DROPOUT[2])
        if "learning_rate" in self.tune:
            hp.Choice("learning_rate", RATES, default=1.0)
        if "variant" in self.tune:
            names = [name for name, v in VARIANTS.items() if v.batch_norm]
            hp.Choice("variant", names, default=names[0])
        if "heads" in self.tune:
            hp.Choice("heads", list(HEADS), default="both")
        return hp

    def to_architecture(self, values: Values) -> Architecture:
        """The network that `values` stand for; other names are left out."""
        widths = {
            layer: self._width(layer, values[name])
            for name in self.ladders
            for layer in self._layers(name)
        } | {n: w for n, w in self.base.widths().items() if n not in self._widths}
        arch = VARIANTS[values["variant"]] if "variant" in values else self.base
        names = [head.name for head in arch.heads]
        kept = HEADS[values["heads"]] if "heads" in values else names
        differences = (*(d for d in arch.differences if d != DIFFERENCE), DIFFERENCE)
        arch = replace(arch.with_widths(widths), differences=differences)
        return replace(
            arch,
            heads=tuple(head for head in arch.heads if head.name in kept),
            dropout=values.get("dropout", arch.dropout),
        )

    def to_values(self, arch: Architecture) -> dict[str, Any]:
        """The values that `to_architecture` makes `arch` from, the least where several.

        Raises UserError for a network outside the space.
        """
        values: dict[str, Any] = {n: self._value(n, arch) for n in self.ladders}
        if "dropout" in self.tune:
            values["dropout"] = arch.dropout
        if "variant" in self.tune:
            values["variant"] = arch.name
        if "heads" in self.tune:
            names = tuple(head.name for head in arch.heads)
            values["heads"] = next(n for n, kept in HEADS.items() if kept == names)
        return values

    def scaled(self, values: Values, factor: float) -> dict[str, Any]:
        """`values` with every width times `factor`, down to a step of its ladder."""
        return dict(values) | {
            name: _floor(values[name] * factor, ladder)
            for name, ladder in self.ladders.items()
        }

    def raised(self, values: Values, name: str) -> dict[str, Any] | None:
        """`values` with the width `name` a step higher; None at the top."""
        ladder = self.ladders[name]
        above = [step for step in ladder if step > values[name]]
        return dict(values) | {name: above[0]} if above else None

    def _ladders(self) -> dict[str, tuple[float, ...]]:
        if self.level == "fine":
            return {layer: _multiples(width) for layer, width in self._widths.items()}
        steps = tuple(float(x) for x in np.arange(LEAST, MOST + STEP / 2, STEP))
        stages = dict.fromkeys(_stage(layer) for layer in self._widths)
        return dict.fromkeys(stages, steps)

    def _layers(self, name: str) -> list[str]:
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
        for value in self.ladders[name]:
            if all(self._width(x, value) == widths[x] for x in self._layers(name)):
                return value
        raise UserError(f"the widths of {name} are not in the space of this search.")


def _trunk(arch: Architecture) -> dict[str, int]:
    """The widths that the deployed network has."""
    heads = tuple(f"{head.name}_" for head in arch.heads)
    return {n: w for n, w in arch.widths().items() if not n.startswith(heads)}


def _stage(layer: str) -> str:
    return next((stage for stage in STAGES if layer.startswith(stage)), "stem")


def _multiples(width: int) -> tuple[int, ...]:
    """Multiples of 8 from a quarter of `width` to twice it, two at least."""
    least = WIDTH_STEP * max(1, round(width * LEAST / WIDTH_STEP))
    most = WIDTH_STEP * round(width * MOST / WIDTH_STEP)
    return tuple(range(least, max(most, least + WIDTH_STEP) + 1, WIDTH_STEP))


def _floor(value: float, ladder: tuple[float, ...]) -> float:
    return max((step for step in ladder if step <= value), default=ladder[0])
