import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from making import ROOT, two_modules

from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.paper import SOURCES
from googlenet_keras.architecture.table1 import Conv
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.cli import main
from googlenet_keras.commands.describe_pictures import COSTS_FILE, MODULE_FILE
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


def test_networks_that_the_paper_argues_against(capsys):
    out = shown(capsys, "--module", "naive", "--head", "dense", "--variant", "paper")
    assert "341,677,176 parameters, 12,812,211,200 multiply-adds" in out
    assert "48.8 times the parameters and 8.1 times the multiply-adds of paper" in out
    assert "28x28x416  64,128,32" in out
    assert "MMACs that 1x1 layers save" not in out  # there are none
    assert "their pooled input is not projected" in out
    tables, _ = out.split("Differences from the paper")
    assert max(len(line) for line in tables.splitlines()) <= 80


def test_a_network_is_saved_for_training(capsys, tmp_path):
    file = tmp_path / "naive.json"
    out = shown(capsys, "--module", "naive", "--width", "0.25", "--save", str(file))
    assert f"train --architecture {file}" in out
    network = Architecture.from_json(json.loads(file.read_text()))
    assert network == ablate("bn", module="naive").scale_width(0.25)
    again = json.loads(shown(capsys, "--architecture", str(file), "--json"))
    assert again["variant"] == "bn_naive"
    with pytest.raises(UserError, match="a name in an existing folder"):
        main(["describe", "--save", str(tmp_path / "none" / "a.json")])


def test_the_papers_numbers_beside_the_computed_ones(capsys):
    out = shown(capsys, "--paper")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "conv1 7x7/2 112x112x64 1 2.7K 34M" in lines
    assert "7x7/2 112x112x64 1 9.19K 118.0M 1" in lines
    assert "4a 14x14x512 2 192 96 208 16 48 64 364K 73M" in lines
    assert "weights that average pooling spares reviews 51.3M 51.38M 6" in lines
    assert "AlexNet 60,965,224 724,406,816" in lines
    assert lines.count("pool4 3x3/2 7x7x832 0") == 1  # computed as printed
    tables, _ = out.split("Sources")
    assert max(len(line) for line in tables.splitlines()) <= 80


def test_the_papers_numbers_as_json(capsys):
    found = json.loads(shown(capsys, "--paper", "--json"))
    (first,) = (
        x
        for x in found["numbers"]
        if (x["row"], x["quantity"]) == ("conv1", "parameters")
    )
    assert (first["printed"], first["computed"]) == ("2.7K", 9408)
    assert (first["matches"], first["source"]) == (False, "Table 1")
    assert "separable" in first["explanation"]
    assert found["costs"]["AlexNet"]["parameters"] == 60_965_224
    assert found["sources"] == SOURCES


@pytest.mark.parametrize("flags", [["--variant", "paper"], ["--width", "0.5"]])
def test_the_papers_numbers_are_of_its_own_network(flags):
    with pytest.raises(UserError, match="combined with --json only"):
        main(["describe", "--paper", *flags])


def texts(path):
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())


def test_the_pictures_of_the_documentation_are_the_programs(capsys, tmp_path):
    shown(capsys, "--variant", "paper", "--pictures", str(tmp_path))
    for name in (MODULE_FILE, COSTS_FILE):
        assert texts(tmp_path / name) == texts(ROOT / "docs" / name)
    assert "inception_4a, naive: 307.1M multiply-adds" in texts(tmp_path / MODULE_FILE)
    assert "naive: 12.6" in texts(tmp_path / COSTS_FILE)


def test_pictures_that_cannot_be_drawn(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(json.dumps(EVEN))
    options = ["--architecture", str(file), "--image-size", "64"]
    with pytest.raises(UserError, match="show Inception modules"):
        main(["describe", *options, "--pictures", str(tmp_path)])
    with pytest.raises(UserError, match="needs a folder"):
        main(["describe", "--pictures", str(file)])


@pytest.mark.parametrize("flag", ["--channels", "--json"])
def test_a_run_is_described_with_its_own_numbers(flag, run_folder, capsys):
    out = shown(capsys, str(run_folder), "--channels", flag)
    if flag == "--json":
        found = json.loads(out)
        assert (found["classes"], found["image_size"]) == (10, [32, 32])
        first, *_, last = found["channels"]
        assert (first["name"], first["channels"]) == ("conv1_7x7_s2", 16)
        assert 1 <= first["clusters"] <= 16
        assert 0 <= first["small_gammas"] < 0.5  # of the median
        # 4d reads 128 channels of 8 x 8 places, the classifier its own
        assert last["macs_per_channel"] == 128 * 8 * 8 + 10
    else:
        assert "bn at 32x32 pixels, 10 classes" in out
        assert re.search(r"inception_4d_pool_proj +16 +\d+ +\d+% +8\.2\n", out)
        assert max(map(len, out.split("Differences")[0].splitlines())) <= 80


def test_what_contradicts_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="--channels are those of a run: describe RUN"):
        main(["describe", "--channels"])
    with pytest.raises(UserError, match="a run comes with its network, image size and"):
        main(["describe", "RUN", "--width", "0.5"])
    with pytest.raises(UserError, match=r"combined with --json only\."):
        main(["describe", "RUN", "--paper"])
    for flags in ([], ["--channels"]):
        with pytest.raises(UserError, match="is not a folder"):
            main(["describe", str(tmp_path / "none"), *flags])


def test_bad_values():
    for flag, value in (
        *(("--width", "1e308"), ("--width", "1e-300"), ("--classes", "9" * 40)),
        ("--image-size", "99999999999"),
    ):
        with pytest.raises(UserError):
            main(["describe", flag, value])
    with pytest.raises(UserError, match="Did you mean 'paper'"):
        main(["describe", "--variant", "papr"])
    with pytest.raises(UserError, match="Did you mean 'dense'"):
        main(["describe", "--head", "dens"])
    with pytest.raises(UserError, match="received 31"):
        main(["describe", "--image-size", "31"])
