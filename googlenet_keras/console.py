"""Terminal output of a script: log lines, tables, progress bars, error messages."""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import NoReturn, TypeVar

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from googlenet_keras.errors import InterruptionError, UserError

UNLIMITED_COLUMNS = 10_000  # for a pipe or a file, where nothing needs to fit
Item = TypeVar("Item")


class _PlainLogHandler(logging.Handler):
    """Prints messages to stdout, and warnings to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            print(record.getMessage(), flush=True)
        else:
            print(f"warning: {record.getMessage()}", file=sys.stderr, flush=True)


_LOG_HANDLER = _PlainLogHandler()  # one, which a logger takes once


def show_log() -> None:
    """Shows the log of this project, from INFO on, as plain lines on the terminal."""
    for package in ("googlenet_keras", "tuning"):
        logger = logging.getLogger(package)
        logger.setLevel(logging.INFO)
        logger.addHandler(_LOG_HANDLER)


def table_console() -> Console:
    """A console for tables; in a pipe or a file nothing is cut to fit a width."""
    console = Console()
    return console if console.is_terminal else Console(width=UNLIMITED_COLUMNS)


def new_table(*texts: str, numbers: Sequence[str] = (), title: str = "") -> Table:
    """An empty table with columns of text, then right-aligned ones of numbers."""
    return Table(
        *texts,
        *(Column(number, justify="right") for number in numbers),
        title=title or None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def progress_bar() -> Progress:
    """A context manager that shows a progress bar on stderr, if it is a terminal."""
    console = Console(file=sys.stderr)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def track(
    items: Iterable[Item], description: str, total: int | None = None
) -> Iterable[Item]:
    """Iterates over `items` with a progress bar; `total` is their number."""
    with progress_bar() as bar:
        yield from bar.track(items, total=total, description=description)


def run_script(main: Callable[[], None]) -> NoReturn:
    """Calls `main` and exits, with status 2 and one message after a user's error.

    User errors are UserError and OSError, which the operating system raises.
    """
    # else TensorFlow buries our message
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    show_log()
    try:
        main()
        sys.stdout.flush()  # else a closed pipe is noticed too late
    except BrokenPipeError:  # the reader, such as `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except InterruptionError as interruption:
        with suppress(OSError):  # the same signal may have ended the reader
            print(interruption, file=sys.stderr)
        sys.exit(interruption.status)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
