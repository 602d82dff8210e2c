"""What a network costs, and candidates brought to the size that a budget allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.rows import ResponseNorm
from googlenet_keras.errors import UserError
from tuning.latency import LatencyModel
from tuning.space import Space, Values

# of int8.tflite, beside a byte for each weight: its frame, and for each channel the
# bias, the scale and the zero point; measured, see the tests
FILE_BYTES, CHANNEL_BYTES, NORM_BYTES = 52_000, 26, 6_000
HALVINGS = 16  # of the range in which a factor on all widths is sought
COSTS = ("macs", "parameters", "megabytes", "milliseconds")


@dataclass(frozen=True)
class Costs:
    """What networks for some data cost, without building them.

    latency: milliseconds of int8.tflite on one thread of this machine; none: unknown.
    label_bytes: length of labels.txt, which travels in the file.
    """

    classes: int
    image_size: tuple[int, ...]
    latency: LatencyModel | None = None
    label_bytes: int = 0

    def of(self, arch: Architecture, name: str) -> float:
        """macs, parameters, megabytes or milliseconds; the heads are not counted."""
        if name == "milliseconds":
            return round(self.latency.milliseconds(arch), 4)
        found = arithmetic.layers(arch, self.classes, self.image_size, auxiliary=False)
        if name == "megabytes":
            return round((_int8_bytes(arch, found) + self.label_bytes) / 1e6, 4)
        return sum(getattr(layer, name) for layer in found)

    def all_of(self, arch: Architecture) -> dict[str, float]:
        """Each of them by name."""
        return {name: self.of(arch, name) for name in COSTS}


def _int8_bytes(arch: Architecture, found: list[arithmetic.Layer]) -> int:
    weights = sum(layer.weights for layer in found)
    norms = sum(isinstance(row, ResponseNorm) for row in arch.rows)
    channels = sum(layer.outputs for layer in found)
    return weights + FILE_BYTES + CHANNEL_BYTES * channels + NORM_BYTES * norms


@dataclass(frozen=True)
class Budget:
    """The largest value of each figure that is limited.

    margin: the part of the milliseconds that stays free, since they are predicted.
    """

    limits: Mapping[str, float]
    costs: Costs
    margin: float = 0.0

    def holds(self, arch: Architecture) -> bool:
        """Whether `arch` keeps every limit."""
        return all(
            self.costs.of(arch, name) <= self._most(name) for name in self.limits
        )

    def uniform(self, arch: Architecture) -> Architecture:
        """`arch` with all its widths narrowed alike until it keeps every limit.

        Without limits, `arch` itself. Raises UserError where even 8 filters everywhere
        are too many, and says what they need.
        """
        if self.holds(arch):
            return arch
        smallest = arch.scale_width(1e-9)
        if not self.holds(smallest):
            raise UserError(self._impossible(smallest))
        return arch.scale_width(
            _largest(lambda x: self.holds(arch.scale_width(x)), 1e-9, 1.0)
        )

    def fitted(self, values: Values, space: Space) -> dict[str, Any]:
        """`values` with their proportions and the budget's size, narrower or wider.

        No width can then be a step higher; fitting again changes nothing. Without
        limits they stay as they are. A variant that is too large at its narrowest gives
        way to the space's own.
        """

        def holds(values: Values | None) -> bool:
            return values is not None and self.holds(space.to_architecture(values))

        def full(values: Values) -> bool:
            return not any(holds(space.raised(values, name)) for name in space.ladders)

        if not self.limits or (holds(values) and full(values)):
            return dict(values)
        if "variant" in values and not holds(space.scaled(values, 0)):
            values = dict(values) | {"variant": space.base.name}
        factor = _largest(lambda x: holds(space.scaled(values, x)), 0.0, 8.0)
        best = space.scaled(values, factor)
        while not full(best):
            for name in space.ladders:
                higher = space.raised(best, name)
                best = higher if higher and holds(higher) else best
        return best

    def _most(self, name: str) -> float:
        free = self.margin if name == "milliseconds" else 0.0
        return self.limits[name] * (1 - free)

    def _impossible(self, smallest: Architecture) -> str:
        found = {name: self.costs.of(smallest, name) for name in self.limits}
        missed = ", ".join(
            f"--max-{name} {limit:,.10g}, where the smallest needs {found[name]:,.10g}"
            for name, limit in self.limits.items()
            if found[name] > self._most(name)
        )
        free = f" ({self.margin:.0%} of the milliseconds stay free)"
        return (
            "the budget must have room for a network with 8 filters everywhere; "
            f"received {missed}{free if self.margin else ''}. Raise it, or lower "
            "--image-size."
        )


def _largest(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The largest number between `low`, which holds, and `high` that holds as well."""
    if holds(high):
        return high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
