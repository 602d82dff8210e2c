"""`check-data`: finds broken, duplicate and mislabeled images in a folder."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from googlenet_keras.errors import UserError
from googlenet_keras.files import check_output_files, write_json

if TYPE_CHECKING:
    from googlenet_keras.data.checks import CheckReport

MAX_LISTED_FILES = 20  # of each kind; the report has them all


@dataclass(frozen=True)
class CheckData:
    """Decodes every image of a folder; lists broken, duplicate and mislabeled ones."""

    folder: Positional[Path]
    """A folder of class folders, with or without train/, validation/ and test/."""
    json: Path | None = None  # The report's file; none: FOLDER.check.json beside it.
    quarantine: Path | None = None  # Move broken files there, under the path they had.

    def run(self) -> None:
        from googlenet_keras.data.checks import check_report
        from googlenet_keras.data.folder_source import files_by_label

        root = self.folder.resolve()
        if not root.is_dir():
            raise UserError(f"no such folder: {self.folder}.")
        path = self.json or root.with_name(f"{root.name}.check.json")
        check_output_files(path)
        report = check_report(root, files_by_label(root))
        if not report["files"]:
            raise UserError(f"data needs class folders with images; {root} has none.")
        moves = _moves(root, report["problems"], self.quarantine)
        _print(report)
        write_json(path, report)
        print(f"the whole report is in {path}")
        for source, target in moves.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source, target)
        if self.quarantine:
            print(f"{len(moves)} files moved to {self.quarantine}")


def _moves(
    root: Path, names: Iterable[str], quarantine: Path | None
) -> dict[Path, Path]:
    """The new path of each broken file. Raises UserError if one of them is taken."""
    if not quarantine:
        return {}
    if quarantine.resolve().is_relative_to(root):
        raise UserError(f"quarantine must be outside the data; {quarantine} is in it.")
    moves = {root / name: quarantine / name for name in names}
    if existing := [target for target in moves.values() if os.path.lexists(target)]:
        raise UserError(f"nothing is overwritten, and {existing[0]} exists.")
    return moves


def _print(report: "CheckReport") -> None:
    print(f"{report['images']} images in {report['files']} files")
    for name, count in report["classes"].items():
        print(f"  {name}: {count}")
    if sizes := report["short_side_pixels"]:
        values = ", ".join(f"{name} {pixels}" for name, pixels in sizes.items())
        print(f"shorter side in pixels: {values}")
    lists = {
        "not whole images": [f"{path}: {x}" for path, x in report["problems"].items()],
        "the same file twice": [*map(" = ".join, report["duplicates"])],
        "the same file under two labels": [*map(" = ".join, report["contradictions"])],
    }
    for title, lines in lists.items():
        print(f"{title}: {len(lines) or 'none'}")
        for line in lines[:MAX_LISTED_FILES]:
            print(f"  {line}")
        if len(lines) > MAX_LISTED_FILES:
            print(f"  and {len(lines) - MAX_LISTED_FILES} more")
