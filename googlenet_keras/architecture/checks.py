"""Whether an Architecture from a file is one that can be built."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from googlenet_keras.architecture.rows import Inception
from googlenet_keras.architecture.table1 import HEADS
from googlenet_keras.errors import UserError, unknown_choice

if TYPE_CHECKING:
    from googlenet_keras.architecture.variants import Architecture

NAME = re.compile(r"\w[\w-]{0,99}", re.ASCII)  # they become names of files and layers
CHOICES = {
    "padding": ("symmetric", "same", "floor"),
    "auxiliary_pool": ("5x5/3", "adaptive 4x4"),
    "batch_norm": (True, False),
    "gamma": (True, False),
    "wide_kernel": (1, 3, 5, 7),
}


def check(arch: Architecture) -> None:
    """Raises UserError for a value that no network can have; counts are checked before.

    Raises TypeError for one that is not of its kind.
    """
    for field, known in CHOICES.items():
        if getattr(arch, field) not in known:
            raise unknown_choice(field, str(getattr(arch, field)), map(str, known))
    for field in ("dropout", "auxiliary_dropout"):
        _check(field, 0 <= getattr(arch, field) < 1, "at least 0 and below 1", arch)
    positive = 0 < arch.pixel_scale < math.inf
    _check("pixel_scale", positive, "a finite number above 0", arch)
    means = len(arch.pixel_mean) == 3 and all(map(math.isfinite, arch.pixel_mean))
    _check("pixel_mean", means, "three numbers", arch)
    _check("rows", bool(arch.rows), "one row or more", arch)
    names = [arch.name, *(part.name for part in (*arch.rows, *arch.heads))]
    words = all(isinstance(name, str) and NAME.fullmatch(name) for name in names)
    _check("rows", words, "named by letters, digits, _ and -", arch)
    unique = len(set(names[1:])) == len(names) - 1
    _check("rows", unique, "rows and heads with names of their own", arch)
    modules = [row.name for row in arch.rows if isinstance(row, Inception)]
    for head in arch.heads:
        if head.name not in (known := [h.name for h in HEADS]):
            raise unknown_choice("an auxiliary head", head.name, known)
        if head.after not in modules:
            raise unknown_choice(f"the place of {head.name}", str(head.after), modules)


def _check(field: str, holds: bool, rule: str, arch: Any) -> None:
    if not holds:
        raise UserError(
            f"{field} of an architecture must be {rule}; received "
            f"{getattr(arch, field)!r:.200}."
        )
