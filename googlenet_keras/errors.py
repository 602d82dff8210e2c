"""Errors that a user can fix; each message has the rule, the value and the remedy."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """An input that breaks a stated rule; scripts print it and exit with status 2."""


class DiskError(UserError):
    """A write failed: the disk is full or write-protected, or the folder is gone."""


class InterruptionError(BaseException):
    """A signal stopped the program; scripts print it and exit with `status`.

    Like KeyboardInterrupt it is no Exception: Keras, which wraps those that it meets in
    tracing a layer, must let it through.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message, signal_number)  # both, or it could not be pickled
        self.status = 128 + signal_number  # as shells report a process that it ended

    def __str__(self) -> str:
        return self.args[0]


def unknown_choice_error(what: str, received: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in `known`; it suggests the closest name."""
    known = list(known)
    near = difflib.get_close_matches(received[:100], known, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UserError(
        f"{what} must be one of {', '.join(known)}; received {received!r:.200}.{hint}"
    )
