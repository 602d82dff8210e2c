"""Exports a trained GoogLeNet. `python export.py --help` lists the options."""

import sys

from googlenet_keras.console import print_text, run_script
from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.training.flags import parse_flags


def main() -> None:
    """Exports, prints the report, and exits with 1 if a format fails."""
    config = parse_flags(
        ExportConfig,
        prog="export.py",
        description="Turns a run into files for phones and servers, checked against "
        "its network.",
    )
    from googlenet_keras.exporting.report import print_report
    from googlenet_keras.exports import export

    bundle = export(config)
    print_report(bundle.report)
    print_text(f"everything is in {bundle.folder}")
    if bundle.report.get("web", {}).get("passed"):
        print_text(f"to try it: python -m googlenet_keras serve {bundle.folder.parent}")
    if not bundle.passed:
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
