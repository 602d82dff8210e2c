"""export/android and export/ios: an app's sources, with the network in its assets.

The sources are the examples; an installed package has copies of them.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from googlenet_keras.artifacts.selftest import SELF_TEST_FOLDER
from googlenet_keras.exporting.formats import FOLDER_FORMATS, FORMATS, FolderFormat
from googlenet_keras.exporting.report import FormatRow, megabytes, outcome
from googlenet_keras.installation import CHECKOUT

ASSETS_FOLDERS = {  # of each app, in its sources
    "android": Path("app/src/main/assets"),
    "ios": Path("Sources/GoogLeNet/Resources"),
}
# what builds and editors leave in a checkout
NOT_COPIED = ("build", "assets", "Resources", "LiteRT", "local.properties", ".*")


def apps_in(names: Iterable[str]) -> list[FolderFormat]:
    """The apps among the names of formats."""
    folders = [FOLDER_FORMATS[name] for name in names if name in FOLDER_FORMATS]
    return [folder for folder in folders if folder.is_app]


def add_app(
    bundle: Path, rows: Mapping[str, FormatRow], app: FolderFormat
) -> FormatRow:
    """Writes an app into a bundle; logs the outcome and returns its row.

    rows: of the formats beside it, whose files it takes. If one of them has not passed,
    there is no app, and its row says why.
    """
    folder, row = bundle / app.name, FormatRow(file=app.name)
    with outcome(app.name, row):
        for name in app.runs:
            if not rows[name]["passed"]:
                raise ValueError(f"it needs {name}, which did not pass")
        files = [bundle / FORMATS[name].file for name in app.runs]
        write_app(app.name, folder, files, bundle / SELF_TEST_FOLDER)
        row.update({"megabytes": megabytes(folder), "passed": True, "reason": None})
    return row


def write_app(name: str, folder: Path, files: list[Path], self_test: Path) -> None:
    """Writes the sources of an app into a new folder, with files and a self-test.

    self_test: a folder; the app has none if there is no such folder.
    """
    ignored = shutil.ignore_patterns(*NOT_COPIED)
    shutil.copytree(source_folder(name), folder, ignore=ignored)
    assets = folder / ASSETS_FOLDERS[name]
    assets.mkdir()
    for file in files:
        shutil.copy(file, assets)
    if self_test.is_dir():
        shutil.copytree(self_test, assets / SELF_TEST_FOLDER)


def source_folder(name: str) -> Path:
    """The folder of an app's sources."""
    packaged = Path(__file__).with_name(name)
    return packaged if packaged.is_dir() else CHECKOUT / "examples" / name
