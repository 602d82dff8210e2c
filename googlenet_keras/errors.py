"""What a user can mend: one message with the rule, what came and the way out."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn


class UserError(ValueError):
    """An input that breaks a stated rule; scripts print it and exit with status 2."""


def unknown(what: str, received: str, known: Iterable[str]) -> UserError:
    """The error for a name that is none of `known`, with the nearest one that is."""
    known = list(known)
    near = difflib.get_close_matches(received, known, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UserError(
        f"{what} must be one of {', '.join(known)}; received {received!r}.{hint}"
    )


def run_script(main: Callable[[], None]) -> NoReturn:
    """Calls `main`; a UserError becomes one message on stderr and exit status 2."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
