"""Finds fonts for class names, and numbers the names that no font can draw."""

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from matplotlib import rcParams
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

from googlenet_keras.console import printable
from googlenet_keras.data.dataset import list_names

BOXES_FONT = "Last Resort"  # begins the name of a font of boxes for every character

log = logging.getLogger(__name__)
# it warns of every family that has no regular weight, as variable fonts have none
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def drawable(names: Sequence[str | Path], kind: str) -> tuple[list[str], list[str]]:
    """`names` as they can be drawn, and the font families that draw them.

    A name with a character that no installed font has becomes its number, counted from
    1: "class 3" for kind "class".
    """
    texts = [printable(name) for name in names]
    families, missing = _find_fonts(frozenset("".join(texts)))
    shown = [
        f"{kind} {number}" if missing & set(text) else text
        for number, text in enumerate(texts, start=1)
    ]
    return shown, list(families)


def numbered(names: Sequence[str], kind: str = "class") -> dict[str, str]:
    """The names that cannot be drawn, by what is drawn in their place."""
    shown, _ = drawable(names, kind)
    pairs = zip(shown, map(printable, names), strict=True)
    return {number: name for number, name in pairs if number != name}


def warn_of_numbers(labels: Sequence[str]) -> None:
    """Logs the labels that pictures show as numbers."""
    if legend := [f"{label} is {name}" for label, name in numbered(labels).items()]:
        log.warning(
            "no installed font has every character of %d class names, so that pictures "
            "show their numbers: %s",
            len(legend),
            list_names(legend),
        )


@lru_cache
def _find_fonts(wanted: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Matplotlib's own fonts and, after them, others with characters that they lack.

    Also returns the characters that none has.
    """
    families = list(rcParams["font.family"])
    missing = wanted.difference(*map(_characters, families))
    for family in sorted({entry.name for entry in fontManager.ttflist}):
        if not missing or family.startswith(BOXES_FONT):
            continue
        if found := missing & _characters(family):
            families.append(family)
            missing -= found
    return tuple(families), missing


def _characters(family: str) -> set[str]:
    """The characters of the font that is drawn with for `family`."""
    try:
        # a list, since a name alone is read as a pattern of fontconfig's
        path = findfont(FontProperties(family=[family]), fallback_to_default=False)
        return set(map(chr, get_font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):  # it is gone or damaged
        return set()
