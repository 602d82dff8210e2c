"""Parses untrusted files in a child process with little memory and time."""

from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from googlenet_keras.errors import UserError
from googlenet_keras.processes import Limits, ProcessError, child_process

# 28 MB of weights take less than 250 MB and 0.5 s; MAX_FILE_BYTES is 134 MB.
PARSER_LIMITS = Limits(memory_bytes=2**30, cpu_seconds=20)
Parsed = TypeVar("Parsed")


def parse_in_child(parse: Callable[[Path], Parsed], path: Path, kind: str) -> Parsed:
    """Returns `parse(path)`. Raises UserError if it raises or exceeds the limits.

    parse: a function of a module that does not import TensorFlow. kind: what `path`
    should be, for the message.
    """
    try:
        with child_process(None, PARSER_LIMITS) as call:
            return call(parse, path)
    except ProcessError as error:
        reason = str(error).rstrip(".")
        if isinstance(error.__cause__, MemoryError | BrokenProcessPool):
            reason = "reading it takes more memory or time than any GoogLeNet's weights"
        raise UserError(f"{path} is no valid {kind}: {reason}.") from error
