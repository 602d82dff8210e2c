"""Files of lines that a command writes while it works; - is standard output."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import IO

from googlenet_keras.files import disk_errors

STANDARD_OUTPUT = Path("-")


class LineOutput:
    """A file of UTF-8 lines, each of which is there as soon as it is written.

    It grows, unlike other files here, which appear whole: the first line replaces what
    was at `path`, and a process that is killed leaves the lines that it has written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        if path == STANDARD_OUTPUT:  # whose encoding is the terminal's
            self._file = sys.stdout.buffer

    @property
    def has_reader(self) -> bool:
        """False once the reader of standard output, such as `head`, has left."""
        return not getattr(getattr(self._file, "raw", None), "reader_left", False)

    def write(self, lines: str) -> None:
        """Writes whole lines. Raises DiskError if the disk refuses."""
        with disk_errors(self._path):
            if self._file is None:
                self._file = self._path.open("wb")
            self._file.write(lines.encode())
            self._file.flush()

    def close(self) -> None:
        """Closes the file, if any. Raises DiskError if the disk refuses."""
        if self._file and self._path != STANDARD_OUTPUT:
            with disk_errors(self._path):
                self._file.close()


@contextmanager
def line_outputs(*paths: Path) -> Iterator[list[LineOutput]]:
    """Outputs for a block; if one is standard output, it has their lines alone.

    What else is printed or logged in the block goes to standard error then.
    """
    with ExitStack() as stack:
        outputs = [LineOutput(path) for path in paths]
        for output in outputs:
            stack.callback(output.close)
        if STANDARD_OUTPUT in paths:
            stack.enter_context(redirect_stdout(sys.stderr))
        yield outputs
