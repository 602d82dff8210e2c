"""`check-data`: finds broken, duplicate and mislabeled images in a folder."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from googlenet_keras.console import print_text, printable
from googlenet_keras.errors import UserError
from googlenet_keras.files import check_output_files, disk_errors, write_json

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
        print_text(f"the whole report is in {path}")
        for source, target in moves.items():
            _move(source, target)
        if self.quarantine:
            print_text(f"{len(moves)} files moved to {self.quarantine}")


def _moves(
    root: Path, names: Iterable[str], quarantine: Path | None
) -> dict[Path, Path]:
    """The new path of each broken file.

    Raises UserError if one of them is taken, and for a quarantine that is no folder or
    in the data.
    """
    if not quarantine:
        return {}
    place = quarantine.resolve()
    if place.is_relative_to(root):
        raise UserError(f"quarantine must be outside the data; {quarantine} is in it.")
    existing = next(x for x in (place, *place.parents) if os.path.lexists(x))
    if not existing.is_dir():
        raise UserError(f"quarantine must be a folder; {existing} is none.")
    moves = {root / name: quarantine / name for name in names}
    if taken := [target for target in moves.values() if os.path.lexists(target)]:
        raise UserError(
            f"nothing is overwritten, and {taken[0]} exists. Move it, or choose "
            "another --quarantine."
        )
    return moves


def _move(source: Path, target: Path) -> None:
    """Moves a file; if the disk refuses it, raises DiskError and leaves it there."""
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.move(source, target)
        except OSError:
            if os.path.lexists(source):  # the target is half a copy
                target.unlink(missing_ok=True)
            raise


def _print(report: "CheckReport") -> None:
    print(f"{report['images']} images in {report['files']} files")
    for name, count in report["classes"].items():
        print_text(f"  {printable(name)}: {count}")
    if sizes := report["short_side_pixels"]:
        values = ", ".join(f"{name} {pixels}" for name, pixels in sizes.items())
        print(f"shorter side in pixels: {values}")
    problems = report["problems"].items()
    lists = {
        "not whole images": [f"{printable(Path(path))}: {x}" for path, x in problems],
        "the same file twice": [*map(_equal, report["duplicates"])],
        "the same file under two labels": [*map(_equal, report["contradictions"])],
    }
    for title, lines in lists.items():
        print(f"{title}: {len(lines) or 'none'}")
        for line in lines[:MAX_LISTED_FILES]:
            print(f"  {line}")
        if len(lines) > MAX_LISTED_FILES:
            print(f"  and {len(lines) - MAX_LISTED_FILES} more")


def _equal(paths: Iterable[str]) -> str:
    return " = ".join(printable(Path(path)) for path in paths)
