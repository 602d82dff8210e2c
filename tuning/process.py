"""Work in a process of its own: its memory, or its crash, goes with it."""

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

from googlenet_keras.exporting.conversion import redirect

Call = Callable[..., Any]


class ProcessError(Exception):
    """What the process could not do; the text says why."""


@contextmanager
def own_process(log: Path | None) -> Iterator[Call]:
    """A function that has another one called there, and gives or raises what it does.

    Whatever it raises becomes a ProcessError, and so does the process's death. It ends
    with the block or with this process, however that ends. log: the file that takes
    what is printed; none: it is printed here.
    """
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    with ProcessPoolExecutor(1, context, _begin, (log,)) as pool:

        def call(function: Call, *arguments: Any) -> Any:
            try:
                return pool.submit(function, *arguments).result()
            except BrokenProcessPool as error:
                hint = f"; {log} may say why" if log else ""
                raise ProcessError(f"its process died{hint}") from error
            except Exception as error:  # whatever it is that can be raised there
                reason = " ".join(str(error).split()) or type(error).__name__
                raise ProcessError(reason) from error

        yield call


def _begin(log: Path | None) -> None:
    # several share a GPU, whose memory the first would take whole
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if log:
        redirect(log)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
