"""The environment of a result: versions, processor, system and commit."""

import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TypedDict

from googlenet_keras.errors import UserError

REPORTED_PACKAGES = (
    *("tensorflow", "keras", "numpy", "tensorflow-datasets", "scikit-learn"),
    *("ai-edge-litert", "onnxruntime", "onnx", "tf2onnx", "mediapipe", "keras-tuner"),
)


class Environment(TypedDict):
    """The machine and package versions of a result; None for one not installed."""

    python: str
    packages: dict[str, str | None]
    system: str
    processor: str
    cores: int
    commit: str | None


def environment() -> Environment:
    """The environment of this process."""
    packages: dict[str, str | None] = dict.fromkeys(REPORTED_PACKAGES)
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
    return {
        "python": sys.version.split()[0],
        "packages": packages,
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


def check_memory(needed: int, what: str, remedy: str) -> None:
    """Raises UserError if `what` needs more bytes than this machine has memory.

    Nothing is refused where the size of the memory is unknown.
    """
    kilobytes = (proc_field("meminfo", "MemTotal") or "").split()
    if kilobytes and needed > (memory := int(kilobytes[0]) * 1024):
        raise UserError(
            f"{what} needs at least {needed / 1e9:,.1f} GB of memory; this machine has "
            f"{memory / 1e9:,.1f} GB. {remedy}"
        )


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
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.check_output(
            command, cwd=here, stderr=subprocess.DEVNULL, text=True, timeout=10
        ).strip()
    return None


def proc_field(file: str, name: str) -> str | None:
    """The value of the line `name` in /proc/`file`; None if there is no such line."""
    with suppress(OSError):
        for line in Path("/proc", file).read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return None
