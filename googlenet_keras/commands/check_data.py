"""`check-data`: what is wrong with a folder of images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from googlenet_keras.errors import UserError
from googlenet_keras.files import check_output_file, write_json


@dataclass(frozen=True)
class CheckData:
    """Decodes every image of a folder; lists broken, doubled and mislabelled ones."""

    folder: Annotated[Path, tyro.conf.Positional]
    """A folder of class folders, with or without train/, validation/ and test/."""
    json: Path | None = None
    """Where the report goes; none: FOLDER.check.json beside the folder."""
    quarantine: Path | None = None
    """Move broken files into this folder, under the path they had."""

    def run(self) -> None:
        """Prints the report and writes it. Raises UserError."""
        from googlenet_keras.data.checks import check_report
        from googlenet_keras.data.folder_source import files_by_label

        root = self.folder.resolve()
        if not root.is_dir():
            raise UserError(f"no such folder: {self.folder}.")
        path = self.json or root.with_name(f"{root.name}.check.json")
        check_output_file(path)
        found = check_report(root, files_by_label(root))
        if not found["files"]:
            raise UserError(f"a data set needs class folders with images; {root} has "
                            "none.")  # fmt: skip
        if self.quarantine:
            _refuse_conflicts(root, found["problems"], self.quarantine)
        _print(found)
        write_json(path, found)
        print(f"the whole report is in {path}")
        if self.quarantine:
            _move(root, found["problems"], self.quarantine)


def _refuse_conflicts(root: Path, names: Iterable[str], quarantine: Path) -> None:
    if quarantine.resolve().is_relative_to(root):
        raise UserError(f"the quarantine must be outside the data; {quarantine} is in "
                        f"{root}.")  # fmt: skip
    for name in names:
        if os.path.lexists(quarantine / name):
            raise UserError(f"nothing is overwritten, and {quarantine / name} exists.")


def _move(root: Path, names: Collection[str], quarantine: Path) -> None:
    for name in names:
        target = quarantine / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(root / name, target)
    print(f"{len(names)} files moved to {quarantine}")


def _print(found: dict[str, Any], most: int = 20) -> None:
    print(f"{found['images']} images in {found['files']} files")
    for name, count in found["classes"].items():
        print(f"  {name}: {count}")
    if found["short_side_pixels"]:
        sizes = found["short_side_pixels"].items()
        print("shorter side in pixels: " + ", ".join(f"{k} {v}" for k, v in sizes))
    _print_list(
        "not whole images",
        [f"{p}: {why}" for p, why in found["problems"].items()],
        most,
    )
    _print_list(
        "the same file twice", [" = ".join(x) for x in found["duplicates"]], most
    )
    _print_list(
        "the same file under two labels",
        [" = ".join(x) for x in found["contradictions"]],
        most,
    )


def _print_list(title: str, lines: list[str], most: int) -> None:
    print(f"{title}: {len(lines) or 'none'}")
    for line in lines[:most]:
        print(f"  {line}")
    if len(lines) > most:
        print(f"  and {len(lines) - most} more")
