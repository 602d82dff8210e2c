"""Handles SIGTERM and SIGINT: the first stops after the step, the second at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import FrameType

from googlenet_keras.errors import InterruptionError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP_NOTICE = b"\nfinishing the step and writing a checkpoint; again: stop at once\n"


class StopRequest:
    """Records the signal that has asked the run to stop, if any, in signal_number."""

    signal_number: int | None = None

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Records the first signal; the second ends the process."""
        if self.signal_number is not None:
            os._exit(128 + number)
        self.signal_number = number
        with suppress(OSError):  # stderr may be closed
            os.write(2, STOP_NOTICE)  # the signal may have interrupted a print


@contextmanager
def graceful_stop() -> Iterator[StopRequest]:
    """Yields a StopRequest that records SIGTERM and SIGINT within the block."""
    stop = StopRequest()
    with _signal_handler(stop.handle):
        yield stop


def interrupt_on_signal(message: str) -> AbstractContextManager[None]:
    """Raises InterruptionError within the block at SIGTERM or SIGINT."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise InterruptionError(message, number)

    return _signal_handler(interrupt)


@contextmanager
def _signal_handler(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return
    previous = {number: signal.signal(number, handler) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, old_handler in previous.items():
            signal.signal(number, old_handler)
