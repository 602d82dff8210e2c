"""Calls functions in a child process, which contains their output and crashes."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from types import ModuleType
from typing import Any

Call = Callable[..., Any]
_script_lock = threading.Lock()


class ProcessError(Exception):
    """A call in a child process failed; the text is one line that says why."""


@dataclass(frozen=True)
class Limits:
    """Limits on the memory and CPU time of a child process; None: no limit.

    memory_bytes: address space beyond what it has when it starts. cpu_seconds: user and
    system, of all its calls together. Neither is known on Windows.
    """

    memory_bytes: int | None = None
    cpu_seconds: int | None = None


@contextmanager
def child_process(log: Path | None, limits: Limits | None = None) -> Iterator[Call]:
    """Yields `call(function, *arguments)`, which runs the function in a child process.

    An exception there becomes a ProcessError here; so does the child's death, after
    which the next call starts a new child. The child ends with the block or with this
    process, however that ends. The function must lie in a module: the child does not
    run this process's script. log: a file for what the child prints; None: it prints
    here.
    """
    pools = [_start_pool(log, limits)]

    def call(function: Call, *arguments: Any) -> Any:
        try:
            with _hidden_script():  # submit starts the child
                future = pools[-1].submit(function, *arguments)
            return future.result()
        except BrokenProcessPool as error:
            pools.append(_start_pool(log, limits))
            hint = f"; see {log.name}" if log else ""
            raise ProcessError(f"its process died{hint}") from error
        except Exception as error:  # whatever the function raises
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ProcessError(lines[0]) from error

    try:
        yield call
    finally:
        pools[-1].shutdown()


@contextmanager
def _hidden_script() -> Iterator[None]:
    """Keeps multiprocessing from running the user's script again in a new child.

    It would train twice in a script that has no `if __name__ == "__main__":`.
    """
    with _script_lock:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = script


def redirect_output(log: Path) -> None:
    """Appends this process's standard output and errors to the file `log`."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)


def _start_pool(log: Path | None, limits: Limits | None) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    return ProcessPoolExecutor(1, context, _initialize_child, (log, limits or Limits()))


def _initialize_child(log: Path | None, limits: Limits) -> None:
    from googlenet_keras.console import show_log

    # several processes may share a GPU, whose memory the first would take whole
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if log:
        redirect_output(log)
    show_log()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit_this_process(limits)


def limit_this_process(limits: Limits) -> None:
    """Limits what this process may use from now on; does nothing on Windows."""
    if limits == Limits() or os.name == "nt":
        return
    import resource

    from googlenet_keras.machine import proc_field

    if limits.memory_bytes:
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's threads reserve memory each
        used = int((proc_field("self/status", "VmSize") or "0").split()[0]) * 1024
        most = used + limits.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    if limits.cpu_seconds:
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds,) * 2)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        wait([parent.sentinel])
    os._exit(1)
