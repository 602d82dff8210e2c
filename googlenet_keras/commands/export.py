"""`export`: makes files for phones and servers, and prints how they compare."""

import sys
from collections.abc import Sequence

from googlenet_keras.console import print_text
from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.installation import command_line
from googlenet_keras.training.flags import parse_flags


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Turns a run into files for phones and servers, checked against its network."""
    config = parse_flags(ExportConfig, arguments, prog=prog, description=main.__doc__)
    from googlenet_keras.artifacts.selftest import SELF_TEST_FOLDER
    from googlenet_keras.exporting.report import print_report
    from googlenet_keras.exports import export

    bundle = export(config)
    print_report(bundle.report)
    print_text(f"everything is in {bundle.folder}")
    if (bundle.folder / SELF_TEST_FOLDER).is_dir():
        print_text(f"images that test an app: {bundle.folder / SELF_TEST_FOLDER}")
    for name, row in bundle.report.get("apps", {}).items():
        if row["passed"]:
            print_text(f"sources of an app for {name}: {bundle.folder / row['file']}")
    if bundle.report.get("web", {}).get("passed"):
        print_text(f"to try it: {command_line('serve')} {bundle.folder.parent}")
    if not bundle.passed:
        sys.exit(1)
