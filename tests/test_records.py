import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from googlenet_keras import records
from googlenet_keras.errors import UserError


def test_json_is_written_whole_and_read_back(tmp_path):
    path = tmp_path / "a.json"
    records.write_json(path, {"b": [1, None, "ä"]})
    assert records.read_json(path) == {"b": [1, None, "ä"]}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    records.write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        records.write_json(path, {"new": object()})
    assert records.read_json(path) == {"old": 1}
    with pytest.raises(UserError, match="cannot be written: No such file"):
        records.write_bytes(tmp_path / "no" / "folder", b"")


def test_a_full_disk_is_said():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(UserError, match="No space left"):
        records.append_line(Path("/dev/full"), {"epoch": 1})


def test_lines_add_up(tmp_path):
    for i in range(3):
        records.append_line(tmp_path / "m.jsonl", {"epoch": i})
    assert records.read_lines(tmp_path / "m.jsonl") == [{"epoch": i} for i in range(3)]


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_what_is_no_object(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(UserError, match=re.escape(str(path))):
        records.read_json(path)


def test_a_run_is_made_once(tmp_path):
    folder = records.create_run(tmp_path / "runs" / "one")
    assert folder.is_dir()
    with pytest.raises(UserError, match=r"never overwritten, and .*one exists"):
        records.create_run(folder)


def test_a_run_cannot_be_made_inside_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="must be writable"):
        records.create_run(tmp_path / "file" / "run")


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UserError, match=r"holds config.json; .* does not"):
        records.open_run(tmp_path)
    with pytest.raises(UserError, match=r"gone is none\."):
        records.open_run(tmp_path / "gone")


HOLD = """
import sys
from pathlib import Path
from googlenet_keras import records
with records.alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_trains_in_a_folder(tmp_path):
    records.write_json(tmp_path / records.CONFIG, {})
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipe = subprocess.PIPE
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=root) as other:
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(UserError, match="one process at a time trains in"),
            records.alone(tmp_path),
        ):
            pass
        other.kill()
    with records.alone(tmp_path):
        pass


def test_only_the_epochs_that_are_done_are_kept(tmp_path):
    path = tmp_path / records.METRICS
    for epoch in (1, 2, 3):
        records.append_line(path, {"epoch": epoch})
        records.append_line(path, {records.EVENT: "something", "epoch": epoch})
    with path.open("a") as file:
        file.write('{"epoch": 4, "lo')
    records.keep_epochs(path, 2)
    assert records.read_epochs(path) == [{"epoch": 1}, {"epoch": 2}]
    assert len(records.read_lines(path)) == 5
    records.keep_epochs(tmp_path / "none.jsonl", 0)
    assert records.read_epochs(tmp_path / "none.jsonl") == []


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / records.METRICS
    path.write_text('{"epoch": 1}\n{"epo\n')
    with pytest.raises(UserError, match=r"metrics.jsonl .*line 2 is damaged"):
        records.read_epochs(path)


def test_only_files_are_unfinished(tmp_path):
    export = tmp_path / "classifier" / f"export.1.new{records.TEMPORARY}"
    export.mkdir(parents=True)
    (tmp_path / f"config.json.1{records.TEMPORARY}").touch()
    records.remove_unfinished(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert export.is_dir()


def test_a_search_is_no_finished_run(tmp_path):
    with pytest.raises(UserError, match="not finished"):
        records.read_result(tmp_path)
    records.write_json(tmp_path / records.RESULT, {"best": {}, "trials": 3})
    with pytest.raises(UserError, match="not a training's"):
        records.read_result(tmp_path)


def test_a_user_that_is_none_stays_as_it_is_written():
    assert records.expanded("~nobody-of-that-name/run") == Path(
        "~nobody-of-that-name/run"
    )
    assert records.expanded("~/run") == Path.home() / "run"
