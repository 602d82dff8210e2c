"""Images and runs that the tests share; everything is made here, nothing is fetched."""

import gc
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# the test processes share the cores, and networks as small as theirs need one each
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="googlenet_keras_tests_")

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from making import call_main, one_process, two_modules, write_photos

from googlenet_keras.console import show_log
from googlenet_keras.files import write_json

show_log()  # as the scripts do, so that capsys has it
gc.freeze()  # or each collection looks through all that the libraries have made
gc.set_threshold(10_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the long files first and marks tests of whole runs and exhaustive ones slow.

    The files with the fewest tests are the long ones; last, they would keep one process
    busy while the others have nothing left to do.
    """
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: tests[item.path])
    for item in items:
        fixtures = {*getattr(item, "fixturenames", ())}
        of_run = {"run_folder", "bundle", "exported", "partly_failed"} & fixtures
        if of_run or item.get_closest_marker("exhaustive"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """Makes tmp_path/photos with as many images in each class folder as asked for."""
    return lambda **counts: write_photos(tmp_path / "photos", counts)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the test processes of a session share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def run_folder(shared_folder: Path) -> Path:
    """A finished run of `train.py --recipe smoke` on the digits, with two modules."""
    import train

    folder, network = shared_folder / "smoke", shared_folder / "smoke.json"
    with one_process(shared_folder / "smoke.lock"):
        if not folder.exists():
            write_json(network, two_modules(width=1.0).to_json())
            flags = ("--recipe", "smoke", "--architecture", str(network))
            call_main(train.main, *flags, "--run-folder", str(folder))
    return folder


@pytest.fixture(scope="session")
def bundle(run_folder: Path) -> Path:
    """What export.py makes of `run_folder`: every format."""
    import export

    with one_process(run_folder.with_name("smoke.lock")):
        if not (run_folder / "export").exists():
            call_main(export.main, "--run-folder", str(run_folder))
    return run_folder / "export"
