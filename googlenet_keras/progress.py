"""Bars for what takes seconds: on stderr, gone when it is done."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")


def bar() -> Progress:
    """A bar, or several, for the block that it is opened in; none in a file."""
    console = Console(file=sys.stderr)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def tracked(
    items: Iterable[Item], description: str, total: int | None = None
) -> Iterable[Item]:
    """`items` with a bar; total: how many there are, if they have no length."""
    with bar() as shown:
        yield from shown.track(items, total=total, description=description)
