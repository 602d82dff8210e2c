"""What a user can mend: one message with the rule, what came and the way out."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NoReturn


class UserError(ValueError):
    """An input that breaks a stated rule; scripts print it and exit with status 2."""


class DiskError(UserError):
    """What the disk refused: it is full, write-protected, or the folder is gone."""


class InterruptionError(Exception):
    """A signal was obeyed; scripts print the message and exit with `status`."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message, signal_number)  # both, or it could not be pickled
        self.status = 128 + signal_number  # as shells report a process that it ended

    def __str__(self) -> str:
        return self.args[0]


def unknown(what: str, received: str, known: Iterable[str]) -> UserError:
    """The error for a name that is none of `known`, with the nearest one that is."""
    known = list(known)
    near = difflib.get_close_matches(received, known, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UserError(
        f"{what} must be one of {', '.join(known)}; received {received!r}.{hint}"
    )


def run_script(main: Callable[[], None]) -> NoReturn:
    """Calls `main`; what a user can mend ends in one message and exit status 2.

    That is a UserError, and whatever the operating system refuses.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # or our message is buried
    try:
        main()
        sys.stdout.flush()  # or a reader that has gone is noticed after the end
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except InterruptionError as interruption:
        with suppress(OSError):  # the same signal may have ended who reads it
            print(interruption, file=sys.stderr)
        sys.exit(interruption.status)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
