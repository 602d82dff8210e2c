"""Calls functions in a child process, which contains their output and crashes."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from types import ModuleType
from typing import Any

from googlenet_keras.console import show_log
from googlenet_keras.errors import InterruptionError
from googlenet_keras.machine import proc_field

Call = Callable[..., Any]
_script_lock = threading.Lock()


class ProcessError(Exception):
    """A call in a child process failed; the text is one line that says why."""


@contextmanager
def child_process(log: Path | None, **limits: int) -> Iterator[Call]:
    """Yields `call(function, *arguments)`, which runs the function in a child process.

    An exception or the child's death becomes a ProcessError here; the next call starts
    a new child. The child ends with the block or with this process, however that ends.
    It does not run this process's script: the function must lie in a module. log: a
    file for its output; None: this process's. limits: those of `limit_this_process`.
    """
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    start = (context, _initialize_child, (log, limits))
    pool = ProcessPoolExecutor(1, *start)

    def call(function: Call, *arguments: Any) -> Any:
        nonlocal pool
        try:
            with _hidden_script():  # submit starts the child
                future = pool.submit(function, *arguments)
            return future.result()
        except BrokenProcessPool as error:
            pool = ProcessPoolExecutor(1, *start)
            hint = f"; see {log.name}" if log else ""
            raise ProcessError(f"its process died{hint}") from error
        except (Exception, InterruptionError) as error:  # whatever the function raises
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ProcessError(lines[0]) from error

    try:
        yield call
    finally:
        pool.shutdown()


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


def _initialize_child(log: Path | None, limits: dict[str, int]) -> None:
    # several processes may share a GPU, whose memory the first would take whole
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if log:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
    show_log()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit_this_process(**limits)


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
    os._exit(1)


def limit_this_process(
    memory_bytes: int | None = None, cpu_seconds: int | None = None
) -> None:
    """Limits what this process may use; None: no limit. Does nothing on Windows.

    memory_bytes: address space beyond what it has now. cpu_seconds: user and system.
    """
    if os.name == "nt":
        return
    import resource

    if memory_bytes:
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's threads reserve memory each
        used = int((proc_field("self/status", "VmSize") or "0").split()[0]) * 1024
        most = used + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    if cpu_seconds:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
