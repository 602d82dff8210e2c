"""Runs an exported file in a child process, since it may be anybody's.

It may never end, take all memory or crash its runtime. Nothing in a file proves that
`export` made it, so that all are run so.
"""

import signal
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from googlenet_keras.artifacts.runtimes import (
    Runtime,
    first_line,
    open_runtime,
    read_texts,
)
from googlenet_keras.errors import UserError
from googlenet_keras.machine import cores
from googlenet_keras.processes import Call, ChildProcess, ProcessError

MAX_ARTIFACT_BYTES = 2**30  # float32 of six times GoogLeNet's width
RUNTIME_MEMORY_BYTES, RUNTIME_MEMORY_BYTES_PER_THREAD = 2**32, 2**28  # address space
MAX_OPENING_SECONDS = 60.0  # with a first image; GoogLeNet takes less than one
MAX_SLOWDOWN = 50  # how many times as long as the first image a later one may take


class Opened(NamedTuple):
    """What is known of a file that was opened and has run once."""

    texts: Mapping[str, str]
    size: tuple[int, int]
    classes: int
    step: float
    seconds: float  # that an image took


class IsolatedRuntime:
    """Runs an exported file that is data in a child process of limited memory and time.

    Otherwise it is like the file's own Runtime. texts: those inside the file, by name.
    The child ends with this object or with this process.
    """

    def __init__(self, path: Path, threads: int, names: Sequence[str]) -> None:
        """Opens the file and runs it once. Raises UserError if it cannot be run.

        threads: 0 for one on each core. names: of the texts.
        """
        self._path, self._threads = path, threads or cores()
        memory = RUNTIME_MEMORY_BYTES + RUNTIME_MEMORY_BYTES_PER_THREAD * self._threads
        self._call = ChildProcess(None, memory_bytes=memory)
        weakref.finalize(self, self._call.let_end)
        opened: Opened = self._ask(_open, names, MAX_OPENING_SECONDS)
        self.texts, self.size, self.classes, self.step, self._seconds = opened

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Computes the probabilities. Raises UserError if it cannot be run."""
        limit = MAX_OPENING_SECONDS + MAX_SLOWDOWN * self._seconds * len(images)
        return self._ask(_run, images, limit)

    def _ask(self, function: Call, *arguments: Any) -> Any:
        try:
            return self._call(function, self._path, self._threads, *arguments)
        except ProcessError as error:
            reason = str(error)
            if isinstance(error.__cause__, UserError):  # which names the file
                raise UserError(reason) from error
            if isinstance(error.__cause__, MemoryError | BrokenProcessPool):
                reason = "it takes more memory or time than any GoogLeNet, or crashes."
            raise UserError(f"{self._path} cannot be run: {reason}") from error


# what follows runs in the child process


def _open(path: Path, threads: int, names: Sequence[str], limit: float) -> Opened:
    with _time_limit(limit):
        runtime, texts = _runtime(path, threads), read_texts(path, names)
        began = time.perf_counter()
        _answer(runtime, path, np.zeros((1, *runtime.size, 3), np.float32))
        seconds = time.perf_counter() - began
        return Opened(texts, runtime.size, runtime.classes, runtime.step, seconds)


def _run(path: Path, threads: int, images: np.ndarray, limit: float) -> np.ndarray:
    with _time_limit(limit):
        return _answer(_runtime(path, threads), path, images)


def _answer(runtime: Runtime, path: Path, images: np.ndarray) -> np.ndarray:
    try:
        return runtime(images)
    except MemoryError:
        raise
    except Exception as error:  # each runtime raises its own kinds
        raise UserError(f"{path} cannot be run: {first_line(error)}") from None


@cache
def _runtime(path: Path, threads: int) -> Runtime:
    return open_runtime(path, threads)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Ends this process if the block takes longer; does nothing on Windows."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
