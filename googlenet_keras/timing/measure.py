"""How everything is measured: warm-up, repeats, wall and CPU seconds, medians."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from googlenet_keras import machine


@dataclass(frozen=True)
class Timings:
    """Seconds of each repeat, by the clock and of the processor (user and system)."""

    wall: np.ndarray
    cpu: np.ndarray

    def per(self, count: float) -> dict[str, dict[str, float]]:
        """Median, 10th and 90th percentile of both, divided by `count`."""
        return {
            "seconds": _spread(self.wall / count),
            "cpu_seconds": _spread(self.cpu / count),
        }


def measure(work: Callable[[], object], repeats: int, warmup: int = 2) -> Timings:
    """Calls `work` `warmup` times unmeasured and `repeats` times measured."""
    for _ in range(warmup):
        work()
    wall, cpu = [], []
    for _ in range(repeats):
        began = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - began[0])
        cpu.append(time.process_time() - began[1])
    return Timings(np.array(wall), np.array(cpu))


def report(
    what: str,
    options: Mapping[str, Any],
    timings: Timings,
    images: int,
    share_of_roof: float | None = None,
) -> dict[str, Any]:
    """The JSON of one benchmark; images: in one repeat."""
    per_image = timings.per(images)
    if tf.config.list_physical_devices("GPU"):
        share_of_roof = None  # it is counted in CPU seconds, which a GPU does not spend
    return {
        "what": what,
        "options": dict(options),
        "repeats": len(timings.wall),
        "images_per_second": 1 / per_image["seconds"]["median"],
        "seconds_per_image": per_image["seconds"],
        "cpu_seconds_per_image": per_image["cpu_seconds"],
        "share_of_roof": share_of_roof,
        "peak_megabytes": machine.Stopwatch().figures()["peak_megabytes"],
        "environment": machine.environment(),
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return {"median": float(middle), "p10": float(low), "p90": float(high)}
