"""The budget of a search: computes costs, and scales widths to its limits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.table1 import ResponseNorm
from googlenet_keras.errors import UserError
from tuning.latency import LatencyModel
from tuning.space import Space, Values

# int8.tflite has a byte for each weight and beside that: its frame, and for each
# channel the bias, the scale and the zero point; measured, see the tests
INT8_FILE_OVERHEAD_BYTES, INT8_BYTES_PER_CHANNEL, INT8_BYTES_PER_NORM = (
    52_000,
    26,
    6_000,
)
COST_NAMES = ("macs", "parameters", "megabytes", "milliseconds")
MIN_WIDTH_MULTIPLIER = 1e-9  # rounds every width to 8
MAX_WIDTH_MULTIPLIER = 8.0  # of a proposal's widths
BISECTION_STEPS = 16  # of the range of multipliers


@dataclass(frozen=True)
class Costs:
    """Computes what networks cost without building them.

    latency: predicts milliseconds of int8.tflite; None if they are not asked for.
    label_bytes: size of labels.txt, which int8.tflite contains.
    """

    classes: int
    image_size: tuple[int, ...]
    latency: LatencyModel | None = None
    label_bytes: int = 0

    def of(self, arch: Architecture, name: str) -> float:
        """The cost `name` of `arch`, without its auxiliary heads."""
        if name == "milliseconds":
            assert self.latency, "milliseconds need a latency model"
            return round(self.latency.milliseconds(arch), 4)
        size = arithmetic.height_and_width(self.image_size)
        layers = arithmetic.layers(arch, self.classes, size, auxiliary=False)
        if name == "megabytes":
            return round((_int8_bytes(arch, layers) + self.label_bytes) / 1e6, 4)
        return sum(getattr(layer, name) for layer in layers)

    def all_of(self, arch: Architecture) -> dict[str, float]:
        """All costs of `arch`, by name."""
        return {name: self.of(arch, name) for name in COST_NAMES}


def _int8_bytes(arch: Architecture, layers: list[arithmetic.Layer]) -> int:
    weights = sum(layer.weights for layer in layers)
    channels = sum(layer.outputs for layer in layers)
    norms = sum(isinstance(row, ResponseNorm) for row in arch.rows)
    overhead = INT8_BYTES_PER_CHANNEL * channels + INT8_BYTES_PER_NORM * norms
    return weights + INT8_FILE_OVERHEAD_BYTES + overhead


@dataclass(frozen=True)
class Budget:
    """Upper limits on costs.

    margin: the fraction of the milliseconds kept free, since they are predicted.
    """

    limits: Mapping[str, float]
    costs: Costs
    margin: float = 0.0

    def allows(self, arch: Architecture) -> bool:
        """Whether `arch` is within every limit."""
        return all(
            self.costs.of(arch, name) <= self._limit(name) for name in self.limits
        )

    def largest_uniform(self, arch: Architecture) -> Architecture:
        """Narrows all widths of `arch` uniformly until it is within every limit.

        Raises UserError if even 8 filters everywhere are too many.
        """
        if self.allows(arch):
            return arch
        smallest = arch.scale_width(MIN_WIDTH_MULTIPLIER)
        if not self.allows(smallest):
            raise self._too_small_error(smallest)
        multiplier = _bisect_largest(
            lambda x: self.allows(arch.scale_width(x)), MIN_WIDTH_MULTIPLIER, 1.0
        )
        return arch.scale_width(multiplier)

    def fit(self, values: Values, space: Space) -> dict[str, Any]:
        """Scales the widths in `values`, in proportion, until they fill the budget.

        No width can then be one grid step larger, and fitting again changes nothing.
        Without limits the values are returned unchanged. A variant that is too large at
        its narrowest is replaced by the space's own.
        """

        def allowed(values: Values | None) -> bool:
            return values is not None and self.allows(space.to_architecture(values))

        def full(values: Values) -> bool:
            return not any(allowed(space.increment(values, x)) for x in space.grids)

        if not self.limits or (allowed(values) and full(values)):
            return dict(values)
        if "variant" in values and not allowed(space.scale(values, 0)):
            values = dict(values) | {"variant": space.base.name}
        multiplier = _bisect_largest(
            lambda x: allowed(space.scale(values, x)), 0.0, MAX_WIDTH_MULTIPLIER
        )
        fitted = space.scale(values, multiplier)
        while not full(fitted):
            for name in space.grids:
                larger = space.increment(fitted, name)
                fitted = larger if larger and allowed(larger) else fitted
        return fitted

    def _limit(self, name: str) -> float:
        margin = self.margin if name == "milliseconds" else 0.0
        return self.limits[name] * (1 - margin)

    def _too_small_error(self, smallest: Architecture) -> UserError:
        costs = {name: self.costs.of(smallest, name) for name in self.limits}
        exceeded = ", ".join(
            f"--max-{name} {limit:,.10g}, where the smallest needs {costs[name]:,.10g}"
            for name, limit in self.limits.items()
            if costs[name] > self._limit(name)
        )
        margin = f" ({self.margin:.0%} of the milliseconds stay free)"
        return UserError(
            "the budget must have room for a network with 8 filters everywhere; "
            f"received {exceeded}{margin if self.margin else ''}. Raise it, or lower "
            "--image-size."
        )


def _bisect_largest(allowed: Callable[[float], bool], low: float, high: float) -> float:
    """Finds the largest allowed number between `low` and `high` by bisection."""
    if allowed(high):
        return high
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if allowed(middle) else (low, middle)
    return low
