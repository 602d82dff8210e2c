import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
MISTAKES = {  # what is changed in classify.py, and the word for it
    "the whole photograph": ("BILINEAR, box)", "BILINEAR)", "crop"),
    "BGR": ("pixels[None].astype", "pixels[None, ..., ::-1].astype", "channel order"),
    "0..1": ("pixels[None].astype", "(pixels[None] / 255).astype", "scaling"),
    "-1..1": ("pixels[None].astype", "(pixels[None] / 127.5 - 1).astype", "scaling"),
    "reversed labels": (".splitlines()", ".splitlines()[::-1]", "labels"),
    "sorted as texts from 1": (
        ".splitlines()", ".splitlines()[1:] + ['10']", "labels"
    ),
    "one label too many": (".splitlines()", ".splitlines() + ['none']", "labels"),
    "half the side": ("scale = ", "scale = 0.5 * ", "unknown"),
}  # fmt: skip


@pytest.fixture
def program(tmp_path):
    """A copy of the example, to change."""
    for name in ("classify.py", "selftest.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    return tmp_path / "classify.py"


@pytest.fixture
def self_test(monkeypatch):
    """Runs a program's self-test here; what it exits with, None if it passes."""

    def run(program, model):
        monkeypatch.setattr(sys, "argv", [str(program), str(model), "--selftest"])
        monkeypatch.setattr(sys, "path", [str(program.parent), *sys.path])
        monkeypatch.delitem(sys.modules, "selftest", raising=False)
        try:
            runpy.run_path(str(program), run_name="__main__")
        except SystemExit as end:
            return end.code
        return None

    return run


@pytest.mark.parametrize("name", ["float32", "float16", "dynamic", "int8", "int16x8"])
def test_the_example_passes(bundle, self_test, capsys, name):
    assert self_test(EXAMPLES / "classify.py", bundle / f"{name}.tflite") is None
    expected = "passed (labels, crop, channel order, scaling)\n"
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize("name", ["float32", "int8"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(bundle, program, self_test, capsys, name, mistake):
    before, after, word = MISTAKES[mistake]
    code = program.read_text()
    assert code.count(before) == 1
    program.write_text(code.replace(before, after))
    told = self_test(program, bundle / f"{name}.tflite")
    assert told.startswith(f"{word}: ")
    assert "passed" not in capsys.readouterr().out


def test_a_mistake_makes_the_status_of_a_process_1(bundle, program):
    before, after, _ = MISTAKES["BGR"]
    program.write_text(program.read_text().replace(before, after))
    command = [sys.executable, program, bundle / "int8.tflite", "--selftest"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("channel order: ")


def test_it_says_what_lies_beside_the_file(bundle, program, self_test, tmp_path):
    model = shutil.copy(bundle / "int8.tflite", tmp_path / "int8.tflite")
    told = self_test(program, model)
    assert "selftest of the export must be beside" in told
    (tmp_path / "selftest").mkdir()
    shutil.copy(bundle / "selftest" / "selftest.json", tmp_path / "selftest")
    told = self_test(program, model.rename(tmp_path / "app.tflite"))
    files = json.loads((tmp_path / "selftest" / "selftest.json").read_text())["files"]
    assert f"knows {', '.join(files)}; not" in told
