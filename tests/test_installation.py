"""What the program says of its own commands, and without libraries that few need."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from making import hide_libraries
from packaging.requirements import Requirement

from googlenet_keras import installation
from googlenet_keras.cli import main
from googlenet_keras.errors import UserError
from googlenet_keras.exporting.formats import check_libraries
from googlenet_keras.installation import EXTRAS, command_line, install_command, require

ROOT = Path(__file__).parents[1]


def read_pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def call_without(tmp_path):
    """Runs the command line in a Python that has not all of its libraries."""

    def call(hidden, *arguments):
        hide_libraries(tmp_path, hidden)
        return subprocess.run(
            [sys.executable, "-m", "googlenet_keras", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


ALL = {module for libraries in EXTRAS.values() for module in libraries}


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_libraries_of_an_extra_are_those_that_pip_installs(extra):
    listed = read_pyproject()["optional-dependencies"][extra]
    names = {Requirement(line).name for line in listed} - {"googlenet_keras"}
    assert names == {*EXTRAS[extra].values()}


def test_what_is_missing_is_named_with_the_line_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(installation, "is_installed", lambda name: name == "onnx")
    monkeypatch.setattr(installation, "CHECKOUT", tmp_path)  # in which nothing is
    require("this", "export", ["onnx"])
    with pytest.raises(UserError) as error:
        require("this", "search", ["grpc"])
    assert str(error.value) == (
        "this needs grpcio, which is not installed: "
        'pip install "googlenet_keras[search]"'
    )
    with pytest.raises(UserError, match="needs tf2onnx, onnxruntime, which are not"):
        require("this", "export", ["tf2onnx", "onnx", "onnxruntime"])


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_checkout_names_the_list_that_has_the_library(extra):
    *command, file = install_command(extra).split()
    assert command == ["pip", "install", "-r"]
    listed = [Requirement(line) for line in read_lines(ROOT / file)]
    assert {*EXTRAS[extra].values()} <= {requirement.name for requirement in listed}


def read_lines(path):
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


@pytest.mark.parametrize(
    ("program", "command", "line"),
    [
        ("/usr/bin/googlenet-keras", "train", "googlenet-keras train"),
        ("googlenet-keras.exe", "predict", "googlenet-keras predict"),
        (ROOT / "train.py", "train", "python train.py"),
        (ROOT / "train.py", "search", "python -m tuning.search"),
        (ROOT / "tuning" / "search.py", "export", "python export.py"),
        (ROOT / "export.py", "serve", "python -m googlenet_keras serve"),
        ("/elsewhere/train.py", "train", "python -m googlenet_keras train"),
        ("", "train", "python -m googlenet_keras train"),
    ],
)
def test_a_command_is_named_as_this_one_was_called(program, command, line, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(program)])
    assert command_line(command) == line


@pytest.mark.parametrize(
    ("formats", "missing"),
    [
        (["saved_model"], None),
        (["float32"], "export needs ai-edge-litert, which is not"),
        (["web"], "export needs ai-edge-litert, which is not"),
        (["saved_model", "onnx"], "export needs onnx, onnxruntime, tf2onnx, which are"),
        ([], "export needs ai-edge-litert, onnx, onnxruntime, tf2onnx, which are"),
    ],
)
def test_formats_need_their_own_libraries_only(formats, missing, monkeypatch):
    monkeypatch.setattr(installation, "is_installed", lambda _: False)
    if missing is None:
        check_libraries(formats)
        return
    with pytest.raises(UserError, match=missing):
        check_libraries(formats)


def test_a_search_without_its_libraries_says_so_at_once(call_without, tmp_path):
    done = call_without(["keras_tuner"], "search", "--run-folder", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr == (
        "error: search needs keras-tuner, which is not installed: "
        "pip install -r requirements.txt\n"
    )
    assert not (tmp_path / "run").exists()


MISSING = [
    (["predict", "a.tflite", "a.jpg"], "a .tflite file needs ai-edge-litert,"),
    (["train", "--dataset", "mnist"], "nor an existing folder, needs importlib_"),
    (["import-weights", "onnx-zoo", "new"], "onnx-zoo weights needs onnx, which"),
]


@pytest.mark.parametrize(("arguments", "message"), MISSING)
def test_a_command_asks_for_its_library_first(
    tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tflite").write_bytes(b"")
    monkeypatch.setattr(installation, "is_installed", lambda name: name not in ALL)
    with pytest.raises(UserError, match=message) as error:
        main(arguments)
    assert str(error.value).endswith(": pip install -r requirements.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tflite"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export"], "export needs ai-edge-litert, onnx, onnxruntime, tf2onnx,"),
        (["search", "--retrain"], "search needs ai-edge-litert,"),
        *(pytest.param(*case, marks=pytest.mark.exhaustive) for case in MISSING),
    ],
)
def test_a_missing_extra_is_one_message_and_nothing_is_written(
    call_without, tmp_path, arguments, message
):
    (tmp_path / "a.tflite").write_bytes(b"")
    before = {*tmp_path.iterdir(), tmp_path / "sitecustomize.py"}
    done = call_without(ALL, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.endswith(": pip install -r requirements.txt\n")
    assert "Traceback" not in done.stderr
    assert {*tmp_path.iterdir()} == before
