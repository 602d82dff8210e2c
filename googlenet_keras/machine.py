"""The environment of a result: versions, processor, system and commit."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TypedDict

REPORTED_PACKAGES = (
    *("tensorflow", "keras", "numpy", "tensorflow-datasets", "scikit-learn"),
    *("ai-edge-litert", "onnxruntime", "onnx", "tf2onnx", "mediapipe", "keras-tuner"),
)


class Environment(TypedDict):
    """The environment of a result: versions, system, processor and commit."""

    python: str
    packages: dict[str, str | None]
    system: str
    processor: str
    cores: int
    commit: str | None


def environment() -> Environment:
    """The environment of this process."""
    return {
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in REPORTED_PACKAGES},
        "system": f"{platform.system()} {platform.release()}",
        "processor": proc_field("cpuinfo", "model name") or platform.machine(),
        "cores": cores(),
        "commit": commit(),
    }


def cores() -> int:
    """The number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_flags() -> frozenset[str]:
    """Instruction sets of the processor, as Linux names them; empty elsewhere."""
    return frozenset((proc_field("cpuinfo", "flags") or "").split())


def commit() -> str | None:
    """The git commit of this program, with "-dirty" if its files were changed.

    None if the program does not run from its own checkout.
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
    """The value of the line `name` in /proc/`file`; None if there is no such line."""
    try:
        lines = Path("/proc", file).read_text().splitlines()
    except OSError:
        return None
    values = (line.partition(":") for line in lines)
    return next((v.strip() for key, _, v in values if key.strip() == name), None)
