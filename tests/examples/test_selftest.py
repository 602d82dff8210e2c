import json
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


def self_test(program, model):
    return subprocess.run(
        [sys.executable, program, model, "--selftest"],
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["float32", "float16", "dynamic", "int8", "int16x8"])
def test_the_example_passes(bundle, name):
    done = self_test(EXAMPLES / "classify.py", bundle / f"{name}.tflite")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "passed (labels, crop, channel order, scaling)\n"


@pytest.mark.parametrize("name", ["float32", "int8"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(bundle, program, name, mistake):
    before, after, word = MISTAKES[mistake]
    code = program.read_text()
    assert code.count(before) == 1
    program.write_text(code.replace(before, after))
    done = self_test(program, bundle / f"{name}.tflite")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"{word}: ")
    assert "passed" not in done.stdout


def test_it_says_what_lies_beside_the_file(bundle, program, tmp_path):
    model = shutil.copy(bundle / "int8.tflite", tmp_path / "int8.tflite")
    done = self_test(program, model)
    assert done.returncode == 1
    assert "selftest of the export must be beside" in done.stderr
    (tmp_path / "selftest").mkdir()
    shutil.copy(bundle / "selftest" / "selftest.json", tmp_path / "selftest")
    done = self_test(program, model.rename(tmp_path / "app.tflite"))
    assert done.returncode == 1
    files = json.loads((tmp_path / "selftest" / "selftest.json").read_text())["files"]
    assert f"knows {', '.join(files)}; not" in done.stderr
