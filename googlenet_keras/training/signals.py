"""SIGTERM and SIGINT ask a run to stop: politely once, then at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from googlenet_keras.errors import InterruptionError

OBEYED = (signal.SIGTERM, signal.SIGINT)
ASKED = b"\nfinishing the step and writing a checkpoint; again: stop at once\n"


class Stop:
    """Which signal has asked to stop, if any."""

    number: int | None = None

    def ask(self, number: int, _frame=None) -> None:
        """Takes note of the first; the second ends the process."""
        if self.number is not None:
            os._exit(128 + number)
        self.number = number
        with suppress(OSError):  # nobody may be reading any more
            os.write(2, ASKED)  # print may be what was interrupted


@contextmanager
def noticed() -> Iterator[Stop]:
    """A Stop that SIGTERM and SIGINT ask within the block."""
    stop = Stop()
    with _handled(stop.ask):
        yield stop


@contextmanager
def ending(message: str) -> Iterator[None]:
    """SIGTERM and SIGINT end the block at once, with an InterruptionError."""

    def end(number: int, _frame=None) -> None:
        raise InterruptionError(message, number)

    with _handled(end):
        yield


@contextmanager
def _handled(handler: Callable[..., None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets the main thread alone handle signals
        return
    before = {number: signal.signal(number, handler) for number in OBEYED}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
