"""The JSON report of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from googlenet_keras import machine
from googlenet_keras.stopwatch import Timings, peak_megabytes


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
        "peak_megabytes": peak_megabytes(),
        "environment": machine.environment(),
    }
