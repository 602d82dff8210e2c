"""The search space: converts hyperparameters to an Architecture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras_tuner
import numpy as np

from googlenet_keras.architecture.architecture import WIDTH_STEP, Architecture
from googlenet_keras.architecture.variants import VARIANTS

STAGE_PREFIXES = ("inception_3", "inception_4", "inception_5")  # before: the "stem"
MIN_WIDTH_FACTOR, MAX_WIDTH_FACTOR = 0.25, 2.0  # of the uniform widths
WIDTH_FACTOR_STEP = 0.0625
BATCH_NORM_VARIANTS = [name for name, arch in VARIANTS.items() if arch.batch_norm]
CHOICES: dict[str, tuple[list[Any], Any]] = {  # of --tune: values, default
    "dropout": ([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 0.2),
    "learning_rate": ([0.25, 0.5, 1.0, 2.0, 4.0], 1.0),  # factors
    "variant": (BATCH_NORM_VARIANTS, BATCH_NORM_VARIANTS[0]),
    "heads": (["both", "aux1", "aux2", "none"], "both"),
}
SEARCHED_WIDTHS_DIFFERENCE = "Filter counts come from a search, not from Table 1."
Values = Mapping[str, Any]
"""The value of each hyperparameter by its name."""


@dataclass(frozen=True)
class Space:
    """The networks that a search may try: widths around those of `base`.

    base: the uniform network of the budget's size; its heads keep their widths. level:
    "coarse", a factor for each stage, 1/4 to 2 in sixteenths; or "fine", a multiple of
    8 for each convolution, in the same range. tune: of dropout, learning_rate, variant
    and heads, those that are searched too.
    """

    base: Architecture
    level: str = "coarse"
    tune: tuple[str, ...] = ()

    @cached_property
    def layers(self) -> dict[str, list[str]]:
        """The layers whose widths each width hyperparameter decides."""
        heads = ("main_", *(f"{head.name}_" for head in self.base.heads))
        layers: dict[str, list[str]] = {}
        for layer in self.base.widths():
            if not layer.startswith(heads):
                stages = (stage for stage in STAGE_PREFIXES if layer.startswith(stage))
                name = layer if self.level == "fine" else next(stages, "stem")
                layers.setdefault(name, []).append(layer)
        return layers

    @cached_property
    def grids(self) -> dict[str, tuple[float, ...]]:
        """The ascending values that each width hyperparameter may have."""
        if self.level == "fine":
            widths = self.base.widths()
            return {layer: _multiples(widths[layer]) for layer in self.layers}
        end = MAX_WIDTH_FACTOR + WIDTH_FACTOR_STEP / 2
        factors = np.arange(MIN_WIDTH_FACTOR, end, WIDTH_FACTOR_STEP)
        return dict.fromkeys(self.layers, tuple(factors.tolist()))

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """Everything that is searched, as keras-tuner describes it."""
        hp = keras_tuner.HyperParameters()
        for name, grid in self.grids.items():
            add = hp.Float if self.level == "coarse" else hp.Int
            add(name, grid[0], grid[-1], step=grid[1] - grid[0])
        for name, (choices, default) in CHOICES.items():
            if name in self.tune:
                hp.Choice(name, choices, default=default)
        return hp

    def to_architecture(self, values: Values) -> Architecture:
        """The network with these hyperparameters; unknown names are ignored."""
        widths = self.base.widths()
        for name, layers in self.layers.items():
            for layer in layers:
                coarse = round_width(widths[layer] * values[name])
                widths[layer] = int(values[name]) if self.level == "fine" else coarse
        arch = VARIANTS[values["variant"]] if "variant" in values else self.base
        arch = arch.with_widths(widths)
        chosen = values.get("heads", "both")
        return replace(
            arch,
            heads=tuple(x for x in arch.heads if chosen in ("both", x.name)),
            dropout=values.get("dropout", arch.dropout),
            differences=tuple(
                dict.fromkeys((*arch.differences, SEARCHED_WIDTHS_DIFFERENCE))
            ),
        )

    def uniform_values(self) -> dict[str, Any]:
        """The values that stand for `base`: factors of 1, or the nearest widths."""
        widths, is_fine = self.base.widths(), self.level == "fine"
        values: dict[str, Any] = {
            name: _nearest(grid, widths[name]) if is_fine else 1.0
            for name, grid in self.grids.items()
        }
        own = {
            "dropout": _nearest(CHOICES["dropout"][0], self.base.dropout),
            "learning_rate": 1.0,
            "variant": self.base.name,
            "heads": "both",
        }
        return values | {name: x for name, x in own.items() if name in self.tune}

    def widest(self) -> Architecture:
        """The network whose every width is the largest of the space."""
        largest = {name: grid[-1] for name, grid in self.grids.items()}
        return self.to_architecture(self.uniform_values() | largest)

    def is_uniform(self, arch: Architecture) -> bool:
        """Whether `arch` is `base`, apart from the texts in `differences`."""
        return replace(arch, differences=()) == replace(self.base, differences=())

    def scale(self, values: Values, factor: float) -> dict[str, Any]:
        """Multiplies every width by `factor`, rounded down to its grid."""
        return dict(values) | {
            name: max((x for x in grid if x <= values[name] * factor), default=grid[0])
            for name, grid in self.grids.items()
        }

    def increment(self, values: Values, name: str) -> dict[str, Any] | None:
        """Raises the width `name` to the next value of its grid; None at the end."""
        larger = next((x for x in self.grids[name] if x > values[name]), None)
        return dict(values) | {name: larger} if larger else None


def round_width(width: float) -> int:
    """The nearest multiple of 8, at least 8."""
    return WIDTH_STEP * max(1, round(width / WIDTH_STEP))


def _nearest(choices: Sequence[Any], value: float) -> Any:
    return min(choices, key=lambda choice: abs(choice - value))


def _multiples(width: int) -> tuple[int, ...]:
    """Multiples of 8 from a quarter of `width` to twice it, at least two of them."""
    low = round_width(width * MIN_WIDTH_FACTOR)
    high = max(round_width(width * MAX_WIDTH_FACTOR), low + WIDTH_STEP)
    return tuple(range(low, high + 1, WIDTH_STEP))
