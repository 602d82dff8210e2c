"""Pages that open from the disk: no script, nothing fetched, everything escaped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from googlenet_keras.evaluation.metrics import NAMES
from googlenet_keras.files import write_bytes


def write_page(template: str, content: Mapping[str, Any], path: Path) -> None:
    """Fills the `template` of this room and writes it, whole or not at all.

    Every text in `content` is escaped, but for pictures' own SVG. Raises DiskError.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("googlenet_keras", "evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(figure_names=NAMES, **content)
    # a file name need not be text; what cannot be written becomes a question mark
    write_bytes(path, page.encode("utf-8", "replace"))
