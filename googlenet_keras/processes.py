"""Calls functions in a child process, which contains their output and crashes."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker, util
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from googlenet_keras.console import open_output, show_log
from googlenet_keras.errors import InterruptionError
from googlenet_keras.files import check_regular_file
from googlenet_keras.machine import proc_field

GRACE_SECONDS = 10  # between asking a child to end and killing it
PR_SET_PDEATHSIG = 1  # of Linux's prctl(2)
Call = Callable[..., Any]
_script_lock = threading.Lock()


class ProcessError(Exception):
    """A call in a child process failed; the text is one line that says why."""


class ChildProcess:
    """Calls functions in a child process, which starts with the first call.

    An exception or the child's death becomes a ProcessError here; the next call starts
    a new child. The child ends with `close` or with this process, however that ends. It
    does not run this process's script: the functions must lie in modules.
    """

    def __init__(self, log: Path | None, **limits: int) -> None:
        """log: a file for the child's output; None: this process's.

        limits: those of `limit_this_process`.
        """
        if log and log != Path(os.devnull):
            check_regular_file(log)
        self._log, self._limits = log, limits
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # TensorFlow survives no fork
        return ProcessPoolExecutor(
            1, context, _initialize_child, (self._log, self._limits)
        )

    def __call__(self, function: Call, *arguments: Any) -> Any:
        """Calls `function` in the child; returns its result. Raises ProcessError."""
        error: BaseException | None
        try:
            with _hide_script():  # submit starts the child
                future = self._pool.submit(function, *arguments)
            error = future.exception()  # what it raises is of this process
        except BrokenProcessPool as broken:
            error = broken
        if error is None:
            return future.result()
        if isinstance(error, BrokenProcessPool):
            self._pool.shutdown()
            self._pool = self._new_pool()
            hint = f"; see {self._log.name}" if self._log else ""
            raise ProcessError(f"its process died{hint}") from error
        if not isinstance(error, Exception | InterruptionError):
            raise error
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ProcessError(lines[0]) from error

    def close(self) -> None:
        """Waits for the child's end."""
        self._pool.shutdown()

    def let_end(self) -> None:
        """Lets the child end, without waiting for it.

        The garbage collector may call this in the middle of any thread's work, where a
        wait for another thread can last for ever.
        """
        self._pool.shutdown(wait=False)

    def kill(self) -> None:
        """Ends the child at its work, after some time to end its own children."""
        children = list(self._pool._processes.values())
        thread: Any = self._pool._executor_manager_thread  # None before the first call
        for child in children:
            child.terminate()
        self._pool.shutdown(wait=False)  # ends one that handles the signal, too
        for child in children:
            child.join(GRACE_SECONDS)
            child.kill()
            child.join()
        if thread:  # else it may write to closed pipes when this process ends
            thread.join(GRACE_SECONDS)


@contextmanager
def child_process(log: Path | None, **limits: int) -> Iterator[ChildProcess]:
    """A ChildProcess for a block, in which SIGTERM raises InterruptionError."""
    with interruption_by_sigterm():
        child = ChildProcess(log, **limits)
        try:
            yield child
        except BaseException:
            child.kill()
            raise
        finally:
            child.close()


@contextmanager
def interruption_by_sigterm() -> Iterator[None]:
    """Turns SIGTERM into InterruptionError in the block, so that children end too.

    A second one ends this process at once. A handler that is set already stays.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield  # only the main thread may set signal handlers
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise InterruptionError("ended by SIGTERM", number)


def _end_resource_tracker() -> None:
    """Ends the process that multiprocessing has started beside its children.

    Its pipe is replaced, not closed: another thread may be writing to it.
    """
    tracker: Any = resource_tracker._resource_tracker
    if tracker._pid is None:  # none was started here; children use their parent's
        return
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), tracker._fd)
    os.waitpid(tracker._pid, 0)
    tracker._pid = None


# Python 3.11.7, 3.12.1 and 3.13.0 do not wait for that process
util.Finalize(None, _end_resource_tracker, exitpriority=-1)  # after all others


@contextmanager
def _hide_script() -> Iterator[None]:
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
    open_output()
    show_log()
    if sys.platform == "linux":  # at once, whatever the child is doing
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
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
