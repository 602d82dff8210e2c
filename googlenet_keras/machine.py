"""What a result depends on beside its options: versions, processor, commit, time."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    *("tensorflow", "keras", "numpy", "tensorflow-datasets", "scikit-learn"),
    *("ai-edge-litert", "onnxruntime", "onnx", "tf2onnx", "mediapipe", "keras-tuner"),
)


class Stopwatch:
    """Wall and CPU seconds since it was made; the process's peak memory."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def add(self, seconds: float, cpu_seconds: float) -> None:
        """Counts what an earlier process spent, too."""
        self._wall -= seconds
        self._cpu -= cpu_seconds

    def figures(self) -> dict[str, float | None]:
        """{"seconds", "cpu_seconds", "peak_megabytes"}; the peak is the process's."""
        return {
            "seconds": round(time.perf_counter() - self._wall, 3),
            "cpu_seconds": round(time.process_time() - self._cpu, 3),
            "peak_megabytes": _peak_megabytes(),
        }


def _peak_megabytes() -> float | None:
    """The process's largest resident memory; None where the system does not tell."""
    if kilobytes := proc_field("self/status", "VmHWM"):
        # unlike getrusage's, this does not begin with the parent process's
        return round(float(kilobytes.split()[0]) * 1024 / 1e6, 1)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def environment() -> dict[str, Any]:
    """Versions, processor and commit: what a result depends on beside its options."""
    return {
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.release()}",
        "processor": proc_field("cpuinfo", "model name") or platform.machine(),
        "cores": cores(),
        "commit": commit(),
    }


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_flags() -> frozenset[str]:
    """Instruction sets of the processor, as Linux names them; empty elsewhere."""
    return frozenset((proc_field("cpuinfo", "flags") or "").split())


def commit() -> str | None:
    """The git commit of this program, "-dirty" appended where files differ from it.

    None where the program does not run from its own checkout.
    """
    here = Path(__file__).resolve().parents[1]
    if not (here / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match="]
    try:
        answer = subprocess.run(
            command, cwd=here, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def proc_field(file: str, name: str) -> str | None:
    """A line's value in /proc/`file`; None where the system has no such line."""
    try:
        lines = Path("/proc", file).read_text().splitlines()
    except OSError:
        return None
    values = (line.partition(":") for line in lines)
    return next((v.strip() for key, _, v in values if key.strip() == name), None)
