"""What pip installs: pyproject.toml beside the tested versions, and a whole wheel."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from functools import partial
from pathlib import Path

import pytest
from making import hide_libraries, tiny_flags, write_photos
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import googlenet_keras
from googlenet_keras.installation import EXTRAS as EXTRA_MODULES

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LISTS = {  # the tested versions, and where pyproject.toml has the same libraries
    "requirements.txt": [
        *PROJECT["dependencies"],
        *(EXTRAS["export"] + EXTRAS["search"] + EXTRAS["tfds"]),
    ],
    "requirements-mobile.txt": EXTRAS["mobile"],
    "requirements-formats.txt": EXTRAS["coreml"] + EXTRAS["openvino"],
    "requirements-dev.txt": EXTRAS["dev"],
}


def by_name(lines):
    """The requirements in `lines` by their normal names, without our own extras."""
    stripped = (line.partition("#")[0].strip() for line in lines)
    found = map(Requirement, filter(None, stripped))
    named = {canonicalize_name(x.name): x for x in found}
    return {name: x for name, x in named.items() if name != "googlenet-keras"}


@pytest.mark.parametrize("file", LISTS)
def test_tested_versions_are_within_what_the_package_allows(file):
    tested = by_name((ROOT / file).read_text().splitlines())
    allowed = by_name(LISTS[file])
    assert tested.keys() == allowed.keys()
    for name, requirement in tested.items():
        assert requirement.extras == allowed[name].extras
        pins = [x.version for x in requirement.specifier if x.operator in ("~=", ">=")]
        assert len(pins) == 1, name
        assert pins[0] in allowed[name].specifier, name


def test_every_extra_is_in_all_but_the_large_ones():
    (everything,) = map(Requirement, EXTRAS["all"])
    assert everything.extras == EXTRAS.keys() - {"all", "dev", "coreml", "openvino"}


def test_a_tight_range_says_why():
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        if line.strip().startswith('"') and "~=" in line:
            assert "# " in line, line


def test_the_version_has_its_changes():
    assert "version" not in PROJECT  # it is in googlenet_keras/__init__.py alone
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert f"\n## {googlenet_keras.__version__}\n" in changes


def package_files():
    """What a wheel must have, by its name there: the package, web/ and the apps."""
    left_out = {"node_modules", "__pycache__", "dist"}
    for source, target in (
        ("googlenet_keras", "googlenet_keras"),
        ("web", "googlenet_keras/webpage/source"),
        ("examples/android", "googlenet_keras/apps/android"),
        ("examples/ios", "googlenet_keras/apps/ios"),
    ):
        for path in (ROOT / source).rglob("*"):
            name = path.relative_to(ROOT / source)
            if path.is_file() and not left_out & {*name.parts}:
                yield path, f"{target}/{name.as_posix()}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built from a copy: the build leaves files beside its sources."""
    copy = tmp_path_factory.mktemp("checkout") / "copy"
    for source, _ in package_files():
        target = copy / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir"]
    subprocess.run([*pip, copy.parent, copy], check=True, capture_output=True)
    (path,) = copy.parent.glob("*.whl")
    return path


@pytest.mark.slow
def test_a_wheel_has_the_whole_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = [n for n in archive.namelist() if n.endswith("/METADATA")]
        header = HeaderParser().parsestr(archive.read(metadata).decode())
        folder = metadata.removesuffix("METADATA")
        for name in ("LICENSE", "NOTICE"):
            packed_text = archive.read(f"{folder}licenses/{name}").decode()
            assert packed_text == (ROOT / name).read_text()
    assert packed == {name for _, name in package_files()}
    assert header["Version"] == googlenet_keras.__version__
    assert header["License-Expression"] == "Apache-2.0"
    assert header.get_all("License-File") == ["LICENSE", "NOTICE"]
    assert {*header.get_all("Provides-Extra")} == EXTRAS.keys()
    assert header.get_payload() == (ROOT / "README.md").read_text()


@pytest.fixture
def call(wheel, tmp_path):
    """The command of the installed wheel, called elsewhere; `hide`: takes libraries."""
    site, folder = tmp_path / "site", tmp_path / "elsewhere"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--target"]
    subprocess.run([*pip, site, wheel], check=True, capture_output=True)
    folder.mkdir()

    def call(*arguments, status=0):
        done = subprocess.run(
            [site / "bin" / "googlenet-keras", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    call.hide = partial(hide_libraries, site)
    return call


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos", {"a": 8, "b": 8})


@pytest.fixture
def trained(call, photos, tmp_path):
    """A run that the core alone trains, evaluates and reports, and what it printed."""
    call.hide({module for libraries in EXTRA_MODULES.values() for module in libraries})
    shown = call("train", *tiny_flags(photos))
    (run,) = (tmp_path / "elsewhere" / "runs").iterdir()
    return run, shown


@pytest.mark.slow
def test_the_command_trains_outside_the_checkout_with_the_core_alone(trained, call):
    run, shown = trained
    assert f"  googlenet-keras predict runs/{run.name} IMAGE..." in shown
    assert (run / "report.html").exists()
    assert call("--version") == f"googlenet-keras {googlenet_keras.__version__}\n"


@pytest.mark.exhaustive
def test_its_other_commands_work_there_too(trained, call, photos, tmp_path):
    run, _ = trained
    call("evaluate", run, "--report", tmp_path / "report.html")
    assert call("predict", run, photos / "a" / "0.jpg").count("%") == 2
    refused = call("train", "--recipe", "smok", status=2)
    assert refused.startswith("error: ")
    assert "Traceback" not in refused


@pytest.mark.exhaustive
def test_the_command_exports_outside_the_checkout(call, photos, tmp_path):
    call("train", *tiny_flags(photos))
    call("export", "--formats", "float32")
    (run,) = (tmp_path / "elsewhere" / "runs").iterdir()
    file = run / "export" / "float32.tflite"
    assert call("predict", file, photos / "a" / "0.jpg").count("%") == 2
