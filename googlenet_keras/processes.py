"""Work in a process of its own: what it prints, leaks or breaks goes with it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

Call = Callable[..., Any]


class ProcessError(Exception):
    """What the process could not do; the text is one line that says why."""


@contextmanager
def own_process(log: Path | None) -> Iterator[Call]:
    """A function that has another one called there, and gives what that one gives.

    Whatever it raises becomes a ProcessError, and so does the process's death, after
    which the next call has a new one. It ends with the block or with this process,
    however that ends. log: the file that takes what is printed; none: it is printed
    here.
    """
    pools = [_started(log)]

    def call(function: Call, *arguments: Any) -> Any:
        try:
            return pools[-1].submit(function, *arguments).result()
        except BrokenProcessPool as error:
            pools.append(_started(log))
            hint = f"; {log.name} may say why" if log else ""
            raise ProcessError(f"its process died{hint}") from error
        except Exception as error:  # whatever it is that can be raised there
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ProcessError(lines[0]) from error

    try:
        yield call
    finally:
        pools[-1].shutdown()


def redirect(log: Path) -> None:
    """Sends this process's output and errors to `log`."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)


def _started(log: Path | None) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    return ProcessPoolExecutor(1, context, _begin, (log,))


def _begin(log: Path | None) -> None:
    # several share a GPU, whose memory the first would take whole
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if log:
        redirect(log)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
