"""Images and runs that the tests share; everything is made here, nothing is fetched."""

import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="googlenet_keras_tests_")

from collections.abc import Callable
from pathlib import Path

import pytest
from making import call_main, write_photos

from googlenet_keras.console import show_log

show_log()  # as the scripts do, so that capsys has it


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """Makes tmp_path/photos with as many images in each class folder as asked for."""
    return lambda **counts: write_photos(tmp_path / "photos", counts)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of `train.py --recipe smoke` on the digits."""
    import train

    folder = tmp_path_factory.mktemp("runs") / "smoke"
    call_main(train.main, "--recipe", "smoke", "--run-folder", str(folder))
    return folder


@pytest.fixture(scope="session")
def bundle(run_folder: Path) -> Path:
    """What export.py makes of `run_folder`: every format."""
    import export

    call_main(export.main, "--run-folder", str(run_folder))
    return run_folder / "export"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps a file's tests in one process, and all that need the costly bundle."""
    for item in items:
        group = "bundle" if "bundle" in item.fixturenames else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
