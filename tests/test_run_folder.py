import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from making import epoch_line

from googlenet_keras.errors import UserError
from googlenet_keras.files import (
    TEMPORARY_SUFFIX,
    append_json_line,
    read_json_lines,
    write_json,
)
from googlenet_keras.run_folder import EVENT_KEY, RunFolder

FINISHED = Path(__file__).parent / "fixtures" / "0fb9b65" / "finished"


def test_a_run_is_made_once(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "one")
    folder.create()
    assert folder.path.is_dir()
    with pytest.raises(UserError, match=r"never overwritten, and .*one exists"):
        folder.create()


def test_a_run_cannot_be_made_inside_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="must be writable"):
        RunFolder(tmp_path / "file" / "run").create()


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UserError, match=r"has a config.json; .* has none"):
        RunFolder.open(tmp_path)
    with pytest.raises(UserError, match=r"gone is not a folder"):
        RunFolder.open(tmp_path / "gone")


HOLD = """
import sys
from pathlib import Path
from googlenet_keras.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_trains_in_a_folder(tmp_path):
    write_json(RunFolder(tmp_path).config, {})
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipe = subprocess.PIPE
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=root) as other:
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(UserError, match="one process at a time may train in"),
            RunFolder(tmp_path).lock(),
        ):
            pass
        other.kill()
    with RunFolder(tmp_path).lock():
        pass


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_lock_that_is_no_regular_file_is_refused(tmp_path, make):
    make(tmp_path / ".lock")
    with (
        pytest.raises(UserError, match=r"only regular files are opened; .*\.lock"),
        RunFolder(tmp_path).lock(),
    ):
        pass


def test_only_the_epochs_that_are_done_are_kept(tmp_path):
    path = RunFolder(tmp_path).metrics
    for epoch in (1, 2, 3):
        append_json_line(path, epoch_line(epoch))
        append_json_line(path, {EVENT_KEY: "something", "epoch": epoch})
    with path.open("a") as file:
        file.write('{"epoch": 4, "lo')
    RunFolder(tmp_path).truncate_epochs(2)
    assert RunFolder(tmp_path).read_epochs() == [epoch_line(1), epoch_line(2)]
    assert len(read_json_lines(path)) == 5
    other = RunFolder(tmp_path / "other")
    other.create()
    other.truncate_epochs(0)
    assert other.read_epochs() == []


@pytest.mark.parametrize(
    "line",
    [
        *('{"epo', "5", "null", '"a"', "[]", '{"epoch": 1}'),
        json.dumps(epoch_line(2) | {"train": 5}),
        json.dumps(epoch_line(2) | {"epoch": "2"}),
        json.dumps(epoch_line(2) | {"validation": {"loss": 1.0, "main": {}}}),
    ],
)
def test_a_damaged_line_is_named_and_dropped_where_a_run_is_resumed(tmp_path, line):
    folder = RunFolder(tmp_path)
    first, last = json.dumps(epoch_line(1)), json.dumps(epoch_line(3))
    folder.metrics.write_text(f"{first}\n{line}\n{last}\n")
    with pytest.raises(UserError, match=r"metrics.jsonl .*line 2 is damaged"):
        folder.read_epochs()
    folder.truncate_epochs(3)
    assert folder.read_epochs() == [epoch_line(1), epoch_line(3)]


def test_all_lines_have_the_same_heads(tmp_path):
    folder, more = RunFolder(tmp_path), epoch_line(2)
    more["train"] = more["train"] | {"aux1": more["train"]["main"]}
    folder.metrics.write_text(f"{json.dumps(epoch_line(1))}\n{json.dumps(more)}\n")
    with pytest.raises(UserError, match="must have the same heads"):
        folder.read_epochs()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("dataset", 5, "Expected `str`, got `int` - at `$.dataset`"),
        ("data_dir", 5, "Expected `str | null`, got `int` - at `$.data_dir`"),
        ("data_dir", "a\0b", "data_dir has a null character"),
        ("validation_fraction", 7, "Expected `float` <= 0.9"),
        ("fold", 101, "Expected `int` <= 100 - at `$.fold`"),
        ("seed", None, "Expected `int`, got `null` - at `$.seed`"),
        ("widths", 5, "Expected `object`, got `int` - at `$.widths`"),
        ("widths", {"conv1": "x"}, "Expected `int`, got `str` - at `$.widths[...]`"),
    ],
)
def test_options_of_another_type_are_refused_by_their_name(
    tmp_path, option, value, message
):
    folder = RunFolder(tmp_path)
    write_json(folder.config, {"dataset": "digits", "widths": {}} | {option: value})
    with pytest.raises(UserError, match=re.escape(message)):
        folder.read_config()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"validation": 5}, "Expected `object`, got `int` - at `$.validation`"),
        ({"validation": {"images": 3}}, "missing required field `main`"),
        ({"test": {"images": 3, "main": 5}}, "at `$.test.main`"),
        ({"test": {"images": 3, "main": {"top1": "x"}}}, "at `$.test.main.top1`"),
        ({"epochs": None}, "Expected `int`, got `null` - at `$.epochs`"),
    ],
)
def test_figures_of_another_type_are_refused_by_their_key(tmp_path, change, message):
    folder = RunFolder(tmp_path)
    write_json(folder.result, json.loads((FINISHED / "result.json").read_text()))
    assert folder.read_result()["test"]["images"] == 300
    write_json(folder.result, folder.read_result() | change)
    with pytest.raises(UserError, match=re.escape(message)):
        folder.read_result()


def test_only_files_are_unfinished(tmp_path):
    export = tmp_path / "classifier" / f"export.1.new{TEMPORARY_SUFFIX}"
    export.mkdir(parents=True)
    (tmp_path / f"config.json.1{TEMPORARY_SUFFIX}").touch()
    RunFolder(tmp_path).remove_unfinished_files()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert export.is_dir()


def test_a_search_is_no_finished_run(tmp_path):
    with pytest.raises(UserError, match="not finished"):
        RunFolder(tmp_path).read_result()
    write_json(RunFolder(tmp_path).result, {"best": {}, "trials": 3})
    with pytest.raises(UserError, match="is a search's, not a run's"):
        RunFolder(tmp_path).read_result()


def test_a_path_that_is_not_utf_8_is_refused(tmp_path):
    folder = RunFolder(tmp_path / "caf\udce9")
    with pytest.raises(UserError, match=r"must be text .* received .*caf.*\. Choose"):
        folder.create()
    assert list(tmp_path.iterdir()) == []


def test_a_runs_saved_classifier_is_a_network_of_the_run(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create()
    write_json(run.config, {"dataset": "digits"})
    for path in (run.path, run.classifier):
        assert RunFolder.of_network(path).path.samefile(run.path)
    for path in (run.path / "other", tmp_path / "classifier"):
        assert RunFolder.of_network(path).path == path
