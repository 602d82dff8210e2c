"""Terminal output of a script: log lines, tables, progress bars, error messages."""

import io
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table
from rich.text import Text

from googlenet_keras.errors import DiskError, InterruptionError, UserError

MIN_COLUMNS = 40  # tyro's help never ends on a terminal of one column
MIN_CELL_COLUMNS = 10  # a table that needs more is wider than the terminal
UNLIMITED_COLUMNS = 10**6  # for a pipe or a file, where nothing needs to fit
# control characters, line separators, bidirectional embeddings, overrides and isolates,
# and the halves of surrogate pairs that stand for the bytes of a name that is not UTF-8
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
NOT_UNICODE = re.compile(r"[\ud800-\udfff]")
Item = TypeVar("Item")


def printable(text: object, escaped: re.Pattern[str] = UNPRINTABLE) -> str:
    r"""The text with its control characters escaped, such as \x1b.

    They are in labels and file names of others, and could recolor, overwrite or reorder
    what a terminal, a page or a plot shows. escaped: NOT_UNICODE leaves them as they
    are, for a format that has its own escapes.
    """

    def escape(match: re.Match[str]) -> str:
        code = match[0].encode("unicode_escape").decode()
        return code.replace(r"\udc", r"\x")  # a byte of a file name

    if isinstance(text, Path):  # whose bytes are UTF-8, whatever the locale
        text = os.fsencode(text).decode("utf-8", "surrogateescape")
    return escaped.sub(escape, str(text))


def print_text(text: object, file: IO[str] | None = None) -> None:
    """Prints a text with its line breaks; other control characters are escaped."""
    lines = map(printable, str(text).split("\n"))
    print("\n".join(lines), file=file, flush=True)


class _PlainLogHandler(logging.Handler):
    """Prints messages to stdout, and warnings to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            print_text(record.getMessage())
        else:
            print_text(f"warning: {record.getMessage()}", sys.stderr)


_LOG_HANDLER = _PlainLogHandler()  # one, which a logger takes once


def show_log() -> None:
    """Shows the log of this project, from INFO on, as plain lines on the terminal."""
    logger = logging.getLogger("googlenet_keras")
    logger.setLevel(logging.INFO)
    logger.addHandler(_LOG_HANDLER)


class _PlainTable(Table):
    """A table whose texts are shown as they are: rich reads no markup in them."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(
            *(Text(printable(x)) if isinstance(x, str) else x for x in cells), **options
        )


def new_table(*texts: str, numbers: Sequence[str] = (), title: str = "") -> Table:
    """An empty table with columns of text, then right-aligned ones of numbers.

    A cell is a string; a rich Text may have line breaks.
    """
    return _PlainTable(
        *(Column(Text(printable(text)), overflow="fold") for text in texts),
        *(Column(name, justify="right", overflow="fold") for name in numbers),
        title=title or None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def print_table(table: Table) -> None:
    """Prints a table; long cells are folded on a terminal and stay whole in a pipe."""
    width = max(Console().width, MIN_CELL_COLUMNS * len(table.columns))
    if not sys.stdout.isatty():
        width = UNLIMITED_COLUMNS
    Console(width=width).print(table)


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


class _Output(io.FileIO):
    """Standard output or standard error; drops what nobody can read.

    That is all text once the reader, such as `head`, has left, so that the work is
    still done. Raises DiskError if standard output cannot be written.
    """

    reader_left = False

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            if null != self.fileno():
                os.close(null)
            self.reader_left = isinstance(error, BrokenPipeError)
            if self.fileno() == 2 or self.reader_left:
                return len(data)
            raise DiskError(
                f"standard output cannot be written: {error.strerror}."
            ) from error


def open_output() -> None:
    """Opens standard output and error for any name, and for a reader that leaves.

    A standard stream that was closed becomes the null device, because a file that is
    opened later would get its number.
    """
    if os.name == "nt":  # whose terminals take no bytes
        return
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if number and stream is getattr(sys, f"__{name}__"):  # nobody has replaced it
            setattr(sys, name, _text_output(number, stream))


def _text_output(number: int, stream: Any) -> io.TextIOWrapper:
    """A text stream to a file descriptor, with the settings of `stream`, if any."""
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(number, "w", closefd=False)),
        getattr(stream, "encoding", "utf-8"),
        errors="backslashreplace",
        line_buffering=getattr(stream, "line_buffering", True) or stream.write_through,
    )


def _limit_columns() -> None:
    """Gives tyro and rich a width that is a number and not too small."""
    columns = shutil.get_terminal_size().columns
    if columns < MIN_COLUMNS or "COLUMNS" in os.environ:
        os.environ["COLUMNS"] = str(max(columns, MIN_COLUMNS))


def run_script(main: Callable[[], None]) -> NoReturn:
    """Calls `main` and exits, with status 2 and one message after a user's error.

    User errors are UserError and OSError, which the operating system raises.
    """
    # else TensorFlow buries our message
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    open_output()
    _limit_columns()
    show_log()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name may not be in its encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            main()
        finally:  # --help exits
            sys.stdout.flush()  # else a full disk is noticed too late
    except (UserError, OSError) as error:
        print_text(f"error: {error}", sys.stderr)
        sys.exit(2)
    except InterruptionError as interruption:
        print_text(interruption, sys.stderr)
        sys.exit(interruption.status)
    except KeyboardInterrupt:
        print_text("interrupted", sys.stderr)
        sys.exit(130)
    sys.exit(0)
