"""Exports a trained GoogLeNet. `python export.py --help` lists the options."""

import sys

import tyro

from googlenet_keras.console import run_script
from googlenet_keras.exporting.config import ExportConfig


def main() -> None:
    """Exports, prints the report, and exits with 1 if a format fails."""
    config = tyro.cli(
        ExportConfig,
        prog="export.py",
        description="Turns a run into files for phones and servers, checked against "
        "its network.",
    )
    from googlenet_keras.exporting.report import print_report
    from googlenet_keras.exports import export

    bundle = export(config)
    print_report(bundle.report)
    print(f"everything is in {bundle.folder}")
    if bundle.report.get("web", {}).get("passed"):
        print(f"to try it: python -m googlenet_keras serve {bundle.folder.parent}")
    if not bundle.passed:
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
