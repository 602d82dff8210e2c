"""export/android and export/ios: whole projects, with the network inside."""

import json
import os
import re
import shutil
import tomllib

import pytest
from making import ROOT, call_main

import export as script
from googlenet_keras.apps.projects import add_app, source_folder, write_app
from googlenet_keras.errors import UserError
from googlenet_keras.exporting.formats import FOLDER_FORMATS
from googlenet_keras.exports import export
from googlenet_keras.files import write_json

APPS = {"android": "app/src/main/assets", "ios": "Sources/GoogLeNet/Resources"}


@pytest.fixture
def bundle_files(tmp_path):
    """A file and a self-test, as an export has them."""
    (tmp_path / "int8.tflite").write_bytes(b"network")
    (tmp_path / "selftest").mkdir()
    (tmp_path / "selftest" / "0.png").write_bytes(b"image")
    return tmp_path


def names(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in files}


@pytest.mark.parametrize("name", APPS)
def test_an_app_has_all_sources_and_the_network(bundle_files, name):
    rows = {"int8": {"passed": True}}
    row = add_app(bundle_files, rows, FOLDER_FORMATS[name])
    assert (row["file"], row["passed"]) == (name, True)
    added = {f"{APPS[name]}/int8.tflite", f"{APPS[name]}/selftest/0.png"}
    assert names(bundle_files / name) == names(ROOT / "examples" / name) | added


@pytest.mark.parametrize("name", APPS)
def test_what_builds_leave_is_not_copied(tmp_path, monkeypatch, name):
    source = tmp_path / "examples" / name
    for left in ("build/a.jar", ".gradle/b", "local.properties", "LiteRT/c", "kept.kt"):
        (source / left).parent.mkdir(parents=True, exist_ok=True)
        (source / left).write_text("")
    (source / APPS[name]).mkdir(parents=True)
    (source / APPS[name] / "old.tflite").write_text("")
    monkeypatch.setattr("googlenet_keras.apps.projects.CHECKOUT", tmp_path)
    write_app(name, tmp_path / "made", [], tmp_path / "no self-test")
    assert names(tmp_path / "made") == {"kept.kt"}


def test_there_is_no_app_without_its_network(bundle_files):
    rows = {"int8": {"passed": False}}
    app = FOLDER_FORMATS["android"]
    row = add_app(bundle_files, rows, app)
    assert not row["passed"]
    assert row["reason"] == "it needs int8, which did not pass"
    assert not (bundle_files / "android").exists()


def test_the_catalogue_has_all_versions_of_the_gradle_project():
    folder = source_folder("android")
    catalogue = tomllib.loads((folder / "gradle" / "libs.versions.toml").read_text())
    used = {x["version"]["ref"] for x in catalogue["libraries"].values()}
    used |= {x["version"]["ref"] for x in catalogue["plugins"].values()}
    scripts = "".join(path.read_text() for path in folder.rglob("*.kts"))
    used |= set(re.findall(r"libs\.versions\.(\w+)", scripts))
    assert used == catalogue["versions"].keys()
    libraries = {name.replace("-", ".") for name in catalogue["libraries"]}
    plugins = {f"plugins.{name.replace('-', '.')}" for name in catalogue["plugins"]}
    named = set(re.findall(r"\(libs\.([\w.]+)\)", scripts))
    assert named == libraries | plugins
    assert not re.findall(r'"[^"]*\d+\.\d+\.\d+[^"]*"', scripts)


@pytest.mark.slow
def test_an_export_writes_apps(run_folder, bundle, tmp_path, capsys):
    """Of a network that is converted already, which test_round_trip.py does, too."""
    folder = shutil.copytree(run_folder, tmp_path / "run") / bundle.name
    before = (folder / "int8.tflite").stat()
    flags = ("--run-folder", str(folder.parent), "--formats", "android", "ios")
    call_main(script.main, *flags)
    assert (folder / "int8.tflite").stat().st_mtime_ns == before.st_mtime_ns
    report = json.loads((folder / "report.json").read_text())
    assert [row["passed"] for row in report["apps"].values()] == [True, True]
    printed = capsys.readouterr().out
    for name, assets in APPS.items():
        assert f"sources of an app for {name}: " in printed
        model = folder / name / assets / "int8.tflite"
        assert model.read_bytes() == (folder / "int8.tflite").read_bytes()
        test = json.loads((model.parent / "selftest" / "selftest.json").read_text())
        assert "int8.tflite" in test["files"]


@pytest.fixture
def earlier_export(tmp_path):
    """A classifier's folder with a bundle, as far as an app needs it."""
    (tmp_path / "classifier.json").write_text("{}")
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    bundle = tmp_path / "export"
    (bundle / "selftest").mkdir(parents=True)
    (bundle / "selftest" / "0.png").write_bytes(b"image")
    (bundle / "int8.tflite").write_bytes(b"network")
    (bundle / "model.onnx").write_bytes(b"another")
    report = {"formats": {"int8": {"file": "int8.tflite", "passed": True}}}
    write_json(bundle / "report.json", report)
    return tmp_path


def test_apps_are_added_to_the_bundle_that_is_there(earlier_export):
    for formats in (("android",), ("ios", "android")):  # the second time, both anew
        found = export(earlier_export, formats=formats)
    bundle = earlier_export / "export"
    assert found.folder == bundle
    assert list(found.report["apps"]) == ["android", "ios"]
    assert found.report == json.loads((bundle / "report.json").read_text())
    assert found.passed
    assert (bundle / "model.onnx").read_bytes() == b"another"
    for name, assets in APPS.items():
        assert (bundle / name / assets / "int8.tflite").read_bytes() == b"network"
    assert sorted(path.name for path in earlier_export.iterdir()) == [
        "classifier.json", "export", "weights.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("obstacle", ["option", "format", "failed", "older", "none"])
def test_otherwise_the_network_is_converted(earlier_export, obstacle):
    options = {"formats": ("android",)}
    bundle = earlier_export / "export"
    if obstacle == "option":
        options["license"] = "CC0-1.0"
    if obstacle == "format":
        options["formats"] = ("android", "float32")
    if obstacle == "failed":
        report = {"formats": {"int8": {"file": "int8.tflite.failed", "passed": False}}}
        write_json(bundle / "report.json", report)
    if obstacle == "older":
        os.utime(bundle / "int8.tflite", (1, 1))
    if obstacle == "none":
        (bundle / "int8.tflite").unlink()
    with pytest.raises(UserError):  # this is no classifier that could be converted
        export(earlier_export, **options)
    assert not (bundle / "android").exists()
