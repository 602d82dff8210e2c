"""The budget of a search: computes costs, and scales widths to its limits."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from googlenet_keras.architecture.architecture import MIN_WIDTH_MULTIPLIER, Architecture
from googlenet_keras.architecture.table1 import ResponseNorm
from googlenet_keras.errors import UserError
from googlenet_keras.tuning.latency import LatencyModel, Task
from googlenet_keras.tuning.space import Space, Values

# int8.tflite has a byte for each weight and beside that: its frame, and for each
# channel the bias, the scale and the zero point; measured, see the tests
INT8_FILE_OVERHEAD_BYTES = 52_000
INT8_BYTES_PER_CHANNEL, INT8_BYTES_PER_NORM = 26, 6_000
COST_NAMES = ("macs", "parameters", "megabytes", "milliseconds")
MAX_WIDTH_MULTIPLIER = 8.0  # of a proposal's widths
BISECTION_STEPS = 16  # of the range of multipliers
MAX_VAIN_DRAWS = 50  # in a row, after which a space counts as exhausted


@dataclass(frozen=True)
class Costs(Task):
    """Computes what networks cost without building them.

    latency: predicts milliseconds of int8.tflite; None before that is measured.
    label_bytes: size of labels.txt, which int8.tflite contains.
    """

    latency: LatencyModel | None = None
    label_bytes: int = 0

    def of(self, arch: Architecture, name: str) -> float:
        """The cost `name` of `arch`, without its auxiliary heads."""
        if name == "milliseconds":
            assert self.latency, "milliseconds need a latency model"
            return round(self.latency.milliseconds(arch), 4)
        layers = [layer for stage in self.stages(arch) for layer in stage.layers]
        if name != "megabytes":
            return sum(getattr(layer, name) for layer in layers)
        channels = sum(layer.outputs for layer in layers)
        norms = sum(isinstance(row, ResponseNorm) for row in arch.rows)
        overhead = INT8_BYTES_PER_CHANNEL * channels + INT8_BYTES_PER_NORM * norms
        overhead += INT8_FILE_OVERHEAD_BYTES + self.label_bytes
        return round((sum(layer.weights for layer in layers) + overhead) / 1e6, 4)


@dataclass(frozen=True)
class Budget:
    """Upper limits on costs."""

    limits: Mapping[str, float]
    costs: Costs
    margin: float = 0.0  # part of the milliseconds kept free, since they are predicted

    def allows(self, arch: Architecture) -> bool:
        """Whether `arch` is within every limit."""
        return not any(self._excesses(arch))

    def _excesses(self, arch: Architecture) -> Iterator[str]:
        """Describes each limit that `arch`, the smallest network, exceeds."""
        for name, limit in self.limits.items():
            margin = self.margin if name == "milliseconds" else 0.0
            cost = self.costs.of(arch, name)
            if cost > limit * (1 - margin):
                free = f" ({margin:.0%} of them stay free)" if margin else ""
                received = f"--max-{name} {limit:,.10g}{free}"
                yield f"{received}, where the smallest needs {cost:,.10g}"

    def largest_uniform(self, arch: Architecture) -> Architecture:
        """Narrows all widths of `arch` uniformly until it is within every limit.

        Raises UserError if even 8 filters everywhere are too many.
        """
        if self.allows(arch):
            return arch
        smallest = arch.scale_width(MIN_WIDTH_MULTIPLIER)
        if excesses := ", ".join(self._excesses(smallest)):
            raise UserError(
                "the budget must have room for a network with 8 filters everywhere; "
                f"received {excesses}. Raise it, or lower --image-size."
            )
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

    def draw(self, space: Space, count: int, seed: int) -> list[dict[str, Any]]:
        """The values of different networks: even width, then random ones that fill it.

        They are fewer than `count` if the space has no more. The first ones do not
        depend on `count`.
        """
        source, found = random.Random(seed), [space.uniform_values()]
        known, vain = {space.to_architecture(found[0])}, 0
        while len(found) < count and vain < MAX_VAIN_DRAWS:
            drawn = {name: source.choice(grid) for name, grid in space.grids.items()}
            values = self.fit(found[0] | drawn, space)
            arch = space.to_architecture(values)
            vain = vain + 1 if arch in known else 0
            if not vain:
                known.add(arch)
                found.append(values)
        return found


def _bisect_largest(allowed: Callable[[float], bool], low: float, high: float) -> float:
    """Finds the largest allowed number between `low` and `high` by bisection."""
    if allowed(high):
        return high
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if allowed(middle) else (low, middle)
    return low
