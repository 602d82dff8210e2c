"""Exports a trained GoogLeNet. `python export.py --help` lists the options."""

import sys

import tyro

from googlenet_keras.console import run_script
from googlenet_keras.exporting.config import ExportConfig


def main() -> None:
    """Exports, prints what came out, and exits with 1 where a format fails."""
    config = tyro.cli(
        ExportConfig,
        prog="export.py",
        description="Turns a run into files for phones and servers, proven equal.",
    )
    from googlenet_keras.exporting.bundle import export
    from googlenet_keras.exporting.chart import print_report

    folder, report = export(config)
    print_report(report)
    print(f"everything is in {folder}")
    if report.get("web", {}).get("passed"):
        print(f"to try it: python -m googlenet_keras serve {folder.parent}")
    rows = [*report["formats"].values(), report.get("web", {"passed": True})]
    if not all(row["passed"] for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
