"""`check-data`: finds broken, duplicate and mislabeled images in a folder."""

import os
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

from googlenet_keras.errors import UserError
from googlenet_keras.files import check_output_file, write_json

if TYPE_CHECKING:
    from googlenet_keras.data.checks import CheckReport

MAX_LISTED_FILES = 20  # of each kind; the report has them all


@dataclass(frozen=True)
class CheckData:
    """Decodes every image of a folder; lists broken, duplicate and mislabeled ones."""

    folder: Annotated[Path, Positional]
    """A folder of class folders, with or without train/, validation/ and test/."""
    json: Path | None = None
    """Where the report goes; none: FOLDER.check.json beside the folder."""
    quarantine: Path | None = None
    """Move broken files into this folder, under the path they had."""

    def run(self) -> None:
        """Prints and writes the report, and moves broken files. Raises UserError."""
        from googlenet_keras.data.checks import check_report
        from googlenet_keras.data.folder_source import files_by_label

        root = self.folder.resolve()
        if not root.is_dir():
            raise UserError(f"no such folder: {self.folder}.")
        path = self.json or root.with_name(f"{root.name}.check.json")
        check_output_file(path)
        report = check_report(root, files_by_label(root))
        if not report["files"]:
            raise UserError(
                f"a data set needs class folders with images; {root} has none."
            )
        if self.quarantine:
            _refuse_conflicts(root, report["problems"], self.quarantine)
        _print(report)
        write_json(path, report)
        print(f"the whole report is in {path}")
        if self.quarantine:
            _move(root, report["problems"], self.quarantine)


def _refuse_conflicts(root: Path, names: Iterable[str], quarantine: Path) -> None:
    if quarantine.resolve().is_relative_to(root):
        raise UserError(
            f"the quarantine must be outside the data; {quarantine} is in {root}."
        )
    for name in names:
        if os.path.lexists(quarantine / name):
            raise UserError(f"nothing is overwritten, and {quarantine / name} exists.")


def _move(root: Path, names: Collection[str], quarantine: Path) -> None:
    for name in names:
        target = quarantine / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(root / name, target)
    print(f"{len(names)} files moved to {quarantine}")


def _print(report: "CheckReport") -> None:
    print(f"{report['images']} images in {report['files']} files")
    for name, count in report["classes"].items():
        print(f"  {name}: {count}")
    if sizes := report["short_side_pixels"]:
        values = ", ".join(f"{name} {pixels}" for name, pixels in sizes.items())
        print(f"shorter side in pixels: {values}")
    problems = [f"{path}: {problem}" for path, problem in report["problems"].items()]
    _print_list("not whole images", problems)
    _print_list("the same file twice", map(" = ".join, report["duplicates"]))
    contradictions = map(" = ".join, report["contradictions"])
    _print_list("the same file under two labels", contradictions)


def _print_list(title: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    print(f"{title}: {len(lines) or 'none'}")
    for line in lines[:MAX_LISTED_FILES]:
        print(f"  {line}")
    if len(lines) > MAX_LISTED_FILES:
        print(f"  and {len(lines) - MAX_LISTED_FILES} more")
