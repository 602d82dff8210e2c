"""Milliseconds of int8.tflite on this machine, from what its layers do.

Multiply-adds alone mislead: XNNPACK computes channels in blocks, a 1x1 convolution runs
faster than a 5x5 one of as many multiply-adds, and pooling and joining cost time and
multiply nothing. So the time of a network is a sum over its layers, whose weights are
fitted to files that ran.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.optimize import nnls

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.architecture import WIDTH_STEP, Architecture
from googlenet_keras.architecture.rows import Inception, MaxPool, ResponseNorm
from googlenet_keras.errors import UserError

BLOCK = 16  # channels that XNNPACK computes at once with AVX512
PROBED = (0.15, 1.1)  # factors on each layer's width in the networks that are measured
WORK = (
    *("network", "pointwise_macs", "spatial_macs", "first_macs"),
    *("outputs", "pixels_gathered", "pooled", "joined", "normalised"),
)


@dataclass(frozen=True)
class LatencyModel:
    """The time of a network as a sum of non-negative costs of what it does (`WORK`).

    median_error: of networks that were not fitted, as a part of their measured time.
    checked: their {"predicted", "measured"} milliseconds.
    """

    classes: int
    image_size: tuple[int, ...]
    costs: tuple[float, ...]
    median_error: float
    checked: tuple[Mapping[str, float], ...] = ()

    def milliseconds(self, arch: Architecture) -> float:
        """Of one image on one thread."""
        return float(work(arch, self.classes, self.image_size) @ np.array(self.costs))

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives the same back."""
        return {
            "classes": self.classes,
            "image_size": list(self.image_size),
            "milliseconds_per": dict(zip(WORK, self.costs, strict=True)),
            "median_error": self.median_error,
            "checked_milliseconds": list(self.checked),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Reads what `to_json` gave. Raises UserError for anything else."""
        try:
            return cls(
                int(data["classes"]),
                tuple(data["image_size"]),
                tuple(float(data["milliseconds_per"][name]) for name in WORK),
                float(data["median_error"]),
                tuple(data["checked_milliseconds"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"this is no model of latency: {error}.") from error


def fitted(
    architectures: Sequence[Architecture],
    milliseconds: Sequence[float],
    classes: int,
    image_size: tuple[int, ...],
    held_out: int,
) -> LatencyModel:
    """The model of all but the last `held_out` networks, checked on these."""
    done = np.stack([work(arch, classes, image_size) for arch in architectures])
    measured = np.asarray(milliseconds)
    known = slice(len(measured) - held_out)
    # every network counts alike, however fast: its equation is divided by its time
    scale = np.maximum(done[known].max(axis=0), 1)
    rows = done[known] / scale / measured[known, None]
    solved, _ = nnls(rows, np.ones(len(rows)))
    costs = solved / scale
    predicted = done[len(rows) :] @ costs
    errors = np.abs(predicted / measured[len(rows) :] - 1)
    return LatencyModel(
        classes,
        tuple(image_size),
        tuple(map(float, costs)),
        round(float(np.median(errors)), 4),
        tuple(
            {"predicted": round(float(p), 4), "measured": round(float(m), 4)}
            for p, m in zip(predicted, measured[len(rows) :], strict=True)
        ),
    )


def probes(base: Architecture, count: int, seed: int = 0) -> list[Architecture]:
    """Networks that vary as candidates do: each width by a factor of its own."""
    random = np.random.default_rng(seed)
    found = []
    for whole in np.geomspace(*PROBED, count)[random.permutation(count)]:
        widths = {
            name: max(1, round(width * whole * random.uniform(0.5, 1.5) / WIDTH_STEP))
            * WIDTH_STEP
            for name, width in base.widths().items()
        }
        found.append(base.with_widths(widths))
    return found


def work(arch: Architecture, classes: int, image_size: tuple[int, ...]) -> np.ndarray:
    """How much of each kind of `WORK` one image takes, [len(WORK)]."""
    done = dict.fromkeys(WORK, 0.0) | {"network": 1.0}
    kinds = {row.name: row for row in arch.rows}
    for stage in arithmetic.trace(arch, classes, image_size, auxiliary=False):
        row = kinds.get(stage.name)
        for layer in stage.layers:
            _add_layer(done, layer, first=layer.inputs == 3)
        height, width, channels = stage.output
        if isinstance(row, MaxPool):
            done["pooled"] += height * width * channels * row.window**2
        if isinstance(row, ResponseNorm):
            done["normalised"] += height * width * channels**2
        if isinstance(row, Inception):
            done["pooled"] += height * width * stage.layers[0].inputs * 9
            done["joined"] += height * width * channels
    return np.array([done[name] for name in WORK])


def _add_layer(done: dict[str, float], layer: arithmetic.Layer, first: bool) -> None:
    pixels = layer.height * layer.width
    outputs = BLOCK * -(-layer.outputs // BLOCK)
    macs = pixels * layer.kernel**2 * layer.inputs * outputs
    kind = "first" if first else "pointwise" if layer.kernel == 1 else "spatial"
    done[f"{kind}_macs"] += macs
    done["outputs"] += pixels * outputs
    if layer.kernel > 1:
        done["pixels_gathered"] += pixels * layer.kernel**2
