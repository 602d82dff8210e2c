import subprocess
import sys
from pathlib import Path

import pytest
from making import ROOT, full_device

from googlenet_keras.errors import DiskError
from googlenet_keras.line_output import STANDARD_OUTPUT, line_outputs


def test_a_line_is_there_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "a"
    path.write_text("what was there\n" * 9)
    with line_outputs(path) as (output,):
        assert path.read_text().startswith("what")
        output.write("caf\xe9\n")
        assert path.read_bytes() == b"caf\xc3\xa9\n"
        output.write("2\n")
        assert path.read_bytes() == b"caf\xc3\xa9\n2\n"
        assert output.has_reader


def test_a_disk_that_refuses_is_said(tmp_path):
    for path, reason in {
        full_device(tmp_path / "full"): "No space left on device",
        tmp_path / "no" / "folder": "No such file or directory",
    }.items():
        message = rf"{path} cannot be written: {reason}\."
        with pytest.raises(DiskError, match=message), line_outputs(path) as (output,):
            output.write("1\n")


def test_standard_output_has_the_lines_alone(capsysbinary):
    with line_outputs(STANDARD_OUTPUT) as (output,):
        print("said")
        output.write("caf\xe9\n")
    print("after")
    shown = capsysbinary.readouterr()
    assert (shown.out, shown.err) == (b"caf\xc3\xa9\nafter\n", b"said\n")


LINES = """
import sys
from pathlib import Path
from googlenet_keras.console import run_script
from googlenet_keras.line_output import STANDARD_OUTPUT, line_outputs
def main():
    with line_outputs(STANDARD_OUTPUT) as (output,):
        while output.has_reader:
            output.write("caf\\u00e9\\n")
    Path(sys.argv[1]).write_text("left")
run_script(main)
"""


def test_a_reader_that_leaves_is_noticed(tmp_path):
    command = [sys.executable, "-X", "utf8=0", "-c", LINES, tmp_path / "file"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"LC_ALL": "C"},
    ) as process:  # fmt: skip
        assert process.stdout.readline() == b"caf\xc3\xa9\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert (tmp_path / "file").read_text() == "left"


def test_a_full_standard_output_is_one_message(tmp_path):
    command = [sys.executable, "-c", LINES, tmp_path / "file"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr == (
        "error: standard output cannot be written: No space left on device.\n"
    )
