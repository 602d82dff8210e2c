import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from making import two_modules

from googlenet_keras.architecture.table1 import Conv
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.cli import main
from googlenet_keras.errors import UserError

ROWS = tuple(Conv(f"conv{i}", 8, kernel=64) for i in range(40))
EVEN = replace(BATCH_NORM, rows=ROWS, heads=()).to_json()  # each takes a pixel away


def shown(capsys, *arguments):
    main(["describe", *arguments])
    return capsys.readouterr().out


def test_the_table_has_the_published_numbers(capsys):
    out = shown(capsys, "--variant", "paper")
    for number in ("6,998,552", "13,378,280", "1,582,671,872", "51,380,224", "112.9"):
        assert number in out
    assert "28x28x256  64,96,128,16,32,32" in out
    tables, _ = out.split("Differences from the paper")
    assert max(len(line) for line in tables.splitlines()) <= 80


def test_differences_are_said_in_words(capsys):
    assert "3x3 kernels (pytorch/vision#906)" in shown(
        capsys, "--variant", "torchvision"
    )


def test_json(capsys):
    out = shown(capsys, "--json", "--classes", "10", "--image-size", "96", "128")
    found = json.loads(out)
    assert found["image_size"] == [96, 128]
    assert found["classes"] == 10
    assert found["rows"][-1]["output"] == [1, 1, 10]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not valid JSON"),
        ("[" * 10**5, "is not valid JSON"),
        ("5", "Expected `object`, got `int`"),
        ("{}", "this is no architecture: 'rows'"),
        (json.dumps(EVEN), "window of conv31, 64 x 64, does not fit"),
    ],
)
def test_an_architecture_that_cannot_be_built_is_one_message(
    tmp_path, content, message
):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=message):
        main(["describe", "--architecture", str(tmp_path / "a.json"),
              "--image-size", "32"])  # fmt: skip


def test_an_architecture_that_is_no_file_is_one_message(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(UserError, match="only regular files are opened"):
            main(["describe", "--architecture", str(path)])


def test_a_network_of_others_is_shown_escaped(tmp_path, capsys):
    file = tmp_path / "architecture.json"
    network = replace(two_modules(), differences=("\x1b[2J [red] \u202e",))
    file.write_text(json.dumps(network.to_json()))
    out = shown(capsys, "--architecture", str(file))
    assert out.endswith("  - \\x1b[2J [red] \\u202e\n")
    out = shown(capsys, "--architecture", str(file), "--json")
    assert out.isascii()
    assert json.loads(out)["differences"] == ["\x1b[2J [red] \u202e"]


def test_bad_values():
    for flag, value in (
        *(("--width", "1e308"), ("--width", "1e-300"), ("--classes", "9" * 40)),
        ("--image-size", "99999999999"),
    ):
        with pytest.raises(UserError):
            main(["describe", flag, value])
    with pytest.raises(UserError, match="Did you mean 'paper'"):
        main(["describe", "--variant", "papr"])
    with pytest.raises(UserError, match="received 31"):
        main(["describe", "--image-size", "31"])
