"""The JSON reports of benchmarks."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

import tensorflow as tf

from googlenet_keras import machine
from googlenet_keras.machine import Environment
from googlenet_keras.stopwatch import Spread, Timings, peak_megabytes

Measured = Literal["training-step", "input-pipeline", "inference"]


class BenchmarkReport(TypedDict):
    """The report of a benchmark that processes images.

    share_of_roof: the rate of operations as a fraction of the peak matmul rate; None
    where it is unknown.
    """

    what: Measured
    options: dict[str, Any]
    repeats: int
    images_per_second: float
    seconds_per_image: Spread
    cpu_seconds_per_image: Spread
    share_of_roof: float | None
    peak_megabytes: float | None
    environment: Environment


class MatmulReport(TypedDict):
    """The report of the peak matmul rate by precision."""

    what: Literal["roof"]
    gigaflops_per_cpu_second: dict[str, float]
    environment: Environment


def benchmark_report(
    what: Measured,
    options: Mapping[str, Any],
    timings: Timings,
    images: int,
    share_of_roof: float | None = None,
) -> BenchmarkReport:
    """Makes the report of a benchmark.

    images: how many were processed in one repeat.
    """
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
        "peak_megabytes": peak_megabytes(),
        "environment": machine.environment(),
    }
