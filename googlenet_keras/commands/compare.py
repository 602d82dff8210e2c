"""`compare`: runs side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Compare:
    """Options that differ between runs, their curves and figures, side by side."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Two or more finished runs."""
    report: Path = Path("comparison.html")
    """The page to write; one that is there is replaced."""

    def run(self) -> None:
        """Prints the tables and writes the page. Raises UserError."""
        from googlenet_keras.evaluation.compare import compare

        compare(self.runs, self.report)
