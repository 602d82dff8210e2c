import subprocess
import sys
from pathlib import Path

import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.files import (
    TEMPORARY_SUFFIX,
    append_json_line,
    read_json_lines,
    write_json,
)
from googlenet_keras.run_folder import EVENT_KEY, RunFolder


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


def test_only_the_epochs_that_are_done_are_kept(tmp_path):
    path = RunFolder(tmp_path).metrics
    for epoch in (1, 2, 3):
        append_json_line(path, {"epoch": epoch})
        append_json_line(path, {EVENT_KEY: "something", "epoch": epoch})
    with path.open("a") as file:
        file.write('{"epoch": 4, "lo')
    RunFolder(tmp_path).truncate_epochs(2)
    assert RunFolder(tmp_path).read_epochs() == [{"epoch": 1}, {"epoch": 2}]
    assert len(read_json_lines(path)) == 5
    other = RunFolder(tmp_path / "other")
    other.create()
    other.truncate_epochs(0)
    assert other.read_epochs() == []


def test_a_damaged_line_is_named(tmp_path):
    path = RunFolder(tmp_path).metrics
    path.write_text('{"epoch": 1}\n{"epo\n')
    with pytest.raises(UserError, match=r"metrics.jsonl .*line 2 is damaged"):
        RunFolder(tmp_path).read_epochs()


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
