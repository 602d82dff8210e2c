import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Annotated, NotRequired, TypedDict

import pytest
from making import full_device
from msgspec import Meta

from googlenet_keras import files
from googlenet_keras.errors import DiskError, UserError
from googlenet_keras.files import (
    append_json_line,
    atomic_file,
    atomic_folder,
    convert,
    expand_user,
    read_json,
    read_json_lines,
    write_bytes,
    write_json,
)


def test_json_is_written_whole_and_read_back(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, None, "ä"]})
    assert read_json(path) == {"b": [1, None, "ä"]}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert read_json(path) == {"old": 1}
    with pytest.raises(UserError, match="cannot be written: No such file"):
        write_bytes(tmp_path / "no" / "folder", b"")


def test_a_full_disk_is_said():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(UserError, match="No space left"):
        append_json_line(Path("/dev/full"), {"epoch": 1})


def test_lines_add_up(tmp_path):
    for i in range(3):
        append_json_line(tmp_path / "m.jsonl", {"epoch": i})
    assert read_json_lines(tmp_path / "m.jsonl") == [{"epoch": i} for i in range(3)]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1]",
        "null",
        '"a"',
        "5",
        "\xff",
        "[" * 10**5,
        '{"a":' * 40 + "1" + "}" * 40,
    ],
    ids=range(9),
)
def test_what_is_no_object(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content, "latin-1")
    with pytest.raises(UserError, match=re.escape(str(path))):
        read_json(path)


def test_a_number_of_too_many_digits_is_no_json(tmp_path):
    (tmp_path / "a.json").write_text('{"a": ' + 5000 * "1" + "}")
    with pytest.raises(UserError, match="is not valid JSON"):
        read_json(tmp_path / "a.json")


def test_only_regular_files_are_read_and_not_more_of_them_than_allowed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        for read in (read_json, read_json_lines):
            with pytest.raises(UserError, match="only regular files are opened"):
                read(path)
    with pytest.raises(UserError, match=r"no such file: .*none\.json"):
        read_json(tmp_path / "none.json")
    (tmp_path / "large").write_bytes(16_000_001 * b" ")
    with pytest.raises(UserError, match="16,000,000 bytes at most; it has 16,000,001"):
        read_json(tmp_path / "large")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**10)
    with pytest.raises(UserError, match="256,000,000 bytes at most"):
        read_json_lines(tmp_path / "sparse")


class Shape(TypedDict):
    count: Annotated[int, Meta(ge=0)]
    parts: NotRequired[dict[str, list[float | None]]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "a: Object missing required field `count`"),
        ({"count": "3"}, "a: Expected `int`, got `str` - at `$.count`"),
        ({"count": 1.5}, "a: Expected `int`, got `float` - at `$.count`"),
        ({"count": True}, "a: Expected `int`, got `bool` - at `$.count`"),
        ({"count": -1}, "a: Expected `int` >= 0 - at `$.count`"),
        ({"count": 1, "parts": {"a": [1, "x"]}}, "at `$.parts[...][1]`"),
    ],
)
def test_values_of_another_type_are_refused_by_their_key(data, message):
    with pytest.raises(UserError, match=re.escape(message)):
        convert(data, Shape, "a")


def test_values_of_the_right_type_are_converted_and_unknown_keys_dropped():
    data = {"count": 2, "parts": {"a": [1, None]}, "new": 5}
    assert convert(data, Shape, "a") == {"count": 2, "parts": {"a": [1.0, None]}}
    assert convert("a/b", Path, "a") == Path("a/b")


@pytest.mark.parametrize("line", ["", "5", "null", '"a"', "[]", '{"a"', "[" * 10**5])
def test_a_damaged_line_is_named_or_left_out_with_a_warning(tmp_path, capsys, line):
    path = tmp_path / "m.jsonl"
    path.write_text('{"a": 1}\n' + line + '\n{"a": 2}\n{"a": 3}')
    with pytest.raises(UserError, match=r"m\.jsonl must .* line 2 is damaged"):
        read_json_lines(path)
    assert read_json_lines(path, skip_damaged=True) == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert "m.jsonl: line 2 is damaged" in capsys.readouterr().err


def test_lines_are_checked_one_by_one(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"count": 1}\n{"count": 1.5}\n')
    with pytest.raises(UserError, match=r"line 2 is damaged: a row: .*`\$\.count`"):
        read_json_lines(path, lambda row: convert(row, Shape, "a row"))


def test_an_atomic_folder_appears_whole(tmp_path):
    path = tmp_path / "made"
    with pytest.raises(TypeError), atomic_folder(path) as folder:
        (folder / "a").write_text(None)
    assert os.listdir(tmp_path) == []
    with atomic_folder(path) as folder:
        (folder / "a").write_text("first")
        assert not path.exists()
    with atomic_folder(path) as folder:
        (folder / "a").write_text("second")
    assert (path / "a").read_text() == "first"
    with atomic_folder(path, replace=True) as folder:
        (folder / "a").write_text("third")
        assert (path / "a").read_text() == "first"
    assert (path / "a").read_text() == "third"
    assert os.listdir(tmp_path) == ["made"]


HALF = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from googlenet_keras.files import atomic_folder
with atomic_folder(Path(sys.argv[1])) as folder:
    (folder / "a").write_text("half")
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_is_removed(tmp_path):
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", HALF, str(tmp_path / "made")]
    subprocess.run(command, cwd=root, check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("made.")
    left.rename(tmp_path / left.name.replace(".new.", ".old."))
    with pytest.raises(KeyError), atomic_folder(tmp_path / "made"):
        raise KeyError  # the dead process had moved the folder aside; it is restored
    assert os.listdir(tmp_path) == ["made"]
    subprocess.run(command, cwd=root, check=False)
    with atomic_folder(tmp_path / "made", replace=True):
        pass
    assert os.listdir(tmp_path) == ["made"]
    assert os.listdir(tmp_path / "made") == []


def test_a_leftover_of_the_same_name_does_not_block(tmp_path):
    """A container that is started again has the host and the number of before."""
    left = files._temporary(tmp_path / "made", ".new")
    left.mkdir()
    (left / "half").touch()
    with atomic_folder(tmp_path / "made") as folder:
        assert os.listdir(folder) == []
    assert os.listdir(tmp_path) == ["made"]


def test_two_threads_may_write_the_same_file_and_folder(tmp_path):
    both = Barrier(2)

    def write(text):
        with atomic_file(tmp_path / "file") as file:
            file.write_text(text)
            both.wait(10)  # each has its own temporary file
            assert file.read_text() == text
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / "a").write_text(text)
            both.wait(10)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(write, "xy")) == [None, None]
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert (tmp_path / "folder" / "a").read_text() in "xy"


@pytest.mark.parametrize(
    ("host", "process", "hours", "is_removed"),
    [
        (files.HOST, os.getpid(), 0, True),  # a container's process before this one
        (files.HOST, os.getppid(), 9, False),
        ("another-host", os.getpid(), 0, False),
        ("another-host", os.getpid(), 2, True),
    ],
    ids=["own number", "alive", "new elsewhere", "old elsewhere"],  # equal in processes
)
def test_whose_temporary_folder_is_removed(tmp_path, host, process, hours, is_removed):
    left = tmp_path / f"other.{host}-{process}.new.tmp"
    left.mkdir()
    then = time.time() - 3600 * hours
    os.utime(left, (then, then))
    with atomic_folder(tmp_path / "made"), atomic_folder(tmp_path / "second"):
        assert left.exists() is not is_removed
    assert (tmp_path / "made").exists()


def test_a_user_that_is_none_stays_as_it_is_written():
    assert expand_user("~nobody-of-that-name/run") == Path("~nobody-of-that-name/run")
    assert expand_user("~/run") == Path.home() / "run"


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    full = full_device(tmp_path / "full")
    with pytest.raises(DiskError, match="full cannot be written: No space left"):
        write_json(full, {})
    assert full.is_char_device()


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    write_json(pipe, {})
    reader.join(60)
    assert read == ["{}\n"]
    assert pipe.is_fifo()
