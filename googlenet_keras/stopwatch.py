"""Measures time and memory of a run, and the time of repeated calls."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from googlenet_keras.machine import proc_field

if TYPE_CHECKING:  # numpy would slow down --help
    import numpy as np


class Spent(TypedDict):
    """Wall and CPU seconds (user and system), and the process's peak memory."""

    seconds: float
    cpu_seconds: float
    peak_megabytes: float | None


class Spread(TypedDict):
    """Median, 10th and 90th percentile."""

    median: float
    p10: float
    p90: float


class Stopwatch:
    """Measures wall and CPU seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def add(self, seconds: float, cpu_seconds: float) -> None:
        """Adds the seconds that an earlier process spent."""
        self._wall -= seconds
        self._cpu -= cpu_seconds

    def spent(self) -> Spent:
        """The seconds since the start, and this process's peak memory."""
        return {
            "seconds": round(time.perf_counter() - self._wall, 3),
            "cpu_seconds": round(time.process_time() - self._cpu, 3),
            "peak_megabytes": peak_megabytes(),
        }


def peak_megabytes() -> float | None:
    """The process's largest resident memory (10**6 bytes); None if unknown."""
    if kilobytes := proc_field("self/status", "VmHWM"):
        # unlike getrusage's, this does not begin with the parent process's
        return round(float(kilobytes.split()[0]) * 1024 / 1e6, 1)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


class Timings(NamedTuple):
    """Wall and CPU seconds (user and system) of each call, [calls]."""

    wall: np.ndarray
    cpu: np.ndarray


def time_calls(
    function: Callable[[], object],
    *,
    calls: int,
    warmup: int = 2,
    at_least: int = 1,
    seconds: float = float("inf"),
) -> Timings:
    """Times up to `calls` calls of `function`, after `warmup` calls that are not timed.

    It ends early once `seconds` are spent, but not before `at_least` calls.
    """
    import numpy as np

    for _ in range(warmup):
        function()
    wall: list[float] = []
    cpu: list[float] = []
    while len(wall) < calls and (len(wall) < at_least or sum(wall) < seconds):
        began = time.perf_counter(), time.process_time()
        function()
        wall.append(time.perf_counter() - began[0])
        cpu.append(time.process_time() - began[1])
    return Timings(np.array(wall), np.array(cpu))


def spread(values: np.ndarray) -> Spread:
    """Median, 10th and 90th percentile of `values`."""
    import numpy as np

    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return {"median": float(middle), "p10": float(low), "p90": float(high)}
