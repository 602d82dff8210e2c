"""A model that predicts the milliseconds of int8.tflite from a network's layers.

Multiply-adds alone mislead: XNNPACK computes channels in blocks, a 1x1 convolution runs
faster than a 5x5 one of as many multiply-adds, and pooling and concatenation cost time
and multiply nothing. So the time of a network is a weighted sum of its layers' work,
and the weights are fitted to measured files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypedDict

import numpy as np
from scipy.optimize import nnls

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.architecture import WIDTH_STEP, Architecture
from googlenet_keras.architecture.table1 import Inception, MaxPool, ResponseNorm
from googlenet_keras.errors import UserError

CHANNEL_BLOCK = 16  # channels that XNNPACK computes at once with AVX512
SAMPLED_WIDTH_MULTIPLIERS = (
    0.15,
    1.1,
)  # smallest and largest multiplier of a sampled network
WORK_KINDS = (  # keys of latency.json
    *("network", "pointwise_macs", "spatial_macs", "first_macs"),
    *("outputs", "pixels_gathered", "pooled", "joined", "normalised"),
)


class PredictionCheck(TypedDict):
    """Predicted and measured milliseconds of a held-out network."""

    predicted: float
    measured: float


@dataclass(frozen=True)
class LatencyModel:
    """Predicts the time of networks for one number of classes and image size.

    latency.json has the same fields.

    milliseconds_per: for a unit of each of WORK_KINDS, not negative. median_error:
    relative, of the checked networks, which the model was not fitted to.
    """

    classes: int
    image_size: tuple[int, ...]
    milliseconds_per: dict[str, float]
    median_error: float
    checked_milliseconds: Sequence[PredictionCheck] = ()

    def milliseconds(self, arch: Architecture) -> float:
        """Milliseconds for one image on one thread."""
        work = count_work(arch, self.classes, self.image_size)
        return float(work @ np.array([self.milliseconds_per[x] for x in WORK_KINDS]))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Builds the model from a dictionary of its fields.

        Raises UserError for anything else.
        """
        try:
            per = {kind: float(data["milliseconds_per"][kind]) for kind in WORK_KINDS}
            size = tuple(data["image_size"])
            return cls(**{**data, "milliseconds_per": per, "image_size": size})
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"this is no model of latency: {error}.") from error


def fit_latency_model(
    architectures: Sequence[Architecture],
    milliseconds: Sequence[float],
    classes: int,
    image_size: tuple[int, ...],
    held_out: int,
) -> LatencyModel:
    """Fits a model to measurements and checks it on the last `held_out` of them."""
    work = np.stack([count_work(arch, classes, image_size) for arch in architectures])
    measured = np.asarray(milliseconds)
    fitted = slice(len(measured) - held_out)
    # divided by its time, each network counts alike, however fast
    scale = np.maximum(work[fitted].max(axis=0), 1)
    rows = work[fitted] / scale / measured[fitted, None]
    solution, _ = nnls(rows, np.ones(len(rows)))
    costs = solution / scale
    predicted = work[len(rows) :] @ costs
    errors = np.abs(predicted / measured[len(rows) :] - 1)
    checks: list[PredictionCheck] = [
        {"predicted": round(float(p), 4), "measured": round(float(m), 4)}
        for p, m in zip(predicted, measured[len(rows) :], strict=True)
    ]
    per = {kind: float(cost) for kind, cost in zip(WORK_KINDS, costs, strict=True)}
    median_error = round(float(np.median(errors)), 4)
    return LatencyModel(classes, tuple(image_size), per, median_error, checks)


def sample_networks(
    base: Architecture, count: int, seed: int = 0
) -> list[Architecture]:
    """Random networks that vary as candidates do: each width by its own factor."""
    random = np.random.default_rng(seed)
    networks = []
    for overall in np.geomspace(*SAMPLED_WIDTH_MULTIPLIERS, count)[
        random.permutation(count)
    ]:
        widths = {
            name: max(1, round(width * overall * random.uniform(0.5, 1.5) / WIDTH_STEP))
            * WIDTH_STEP
            for name, width in base.widths().items()
        }
        networks.append(base.with_widths(widths))
    return networks


def count_work(
    arch: Architecture, classes: int, image_size: tuple[int, ...]
) -> np.ndarray:
    """The amount of each of WORK_KINDS for one image, [len(WORK_KINDS)]."""
    work = dict.fromkeys(WORK_KINDS, 0.0) | {"network": 1.0}
    rows = {row.name: row for row in arch.rows}
    size = arithmetic.height_and_width(image_size)
    for stage in arithmetic.iterate_stages(arch, classes, size, auxiliary=False):
        row = rows.get(stage.name)
        for layer in stage.layers:
            _add_layer(work, layer, first=layer.inputs == 3)
        height, width, channels = stage.output
        if isinstance(row, MaxPool):
            work["pooled"] += height * width * channels * row.window**2
        if isinstance(row, ResponseNorm):
            work["normalised"] += height * width * channels**2
        if isinstance(row, Inception):
            work["pooled"] += height * width * stage.layers[0].inputs * 9
            work["joined"] += height * width * channels
    return np.array([work[kind] for kind in WORK_KINDS])


def _add_layer(work: dict[str, float], layer: arithmetic.Layer, first: bool) -> None:
    pixels = layer.height * layer.width
    outputs = CHANNEL_BLOCK * -(-layer.outputs // CHANNEL_BLOCK)
    kind = "first" if first else "pointwise" if layer.kernel == 1 else "spatial"
    work[f"{kind}_macs"] += pixels * layer.kernel**2 * layer.inputs * outputs
    work["outputs"] += pixels * outputs
    if layer.kernel > 1:
        work["pixels_gathered"] += pixels * layer.kernel**2
