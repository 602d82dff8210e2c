"""`compare`: compares finished runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from googlenet_keras.files import check_output_file
from googlenet_keras.run_folder import RunFolder


@dataclass(frozen=True)
class Compare:
    """Compares runs: options that differ, figures and curves, side by side."""

    runs: Annotated[tuple[Path, ...], Positional]
    """Two or more finished runs."""
    report: Path = Path("comparison.html")
    """The page to write; an existing one is replaced."""

    def run(self) -> None:
        """Prints the tables and writes the page. Raises UserError."""
        from googlenet_keras.evaluation.compare import compare
        from googlenet_keras.evaluation.tables import print_comparison

        check_output_file(self.report)
        comparison = compare([RunFolder.open(path) for path in self.runs])
        print_comparison(comparison)
        comparison.write(self.report)
        print(f"the comparison is {self.report}")
