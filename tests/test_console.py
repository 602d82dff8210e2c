"""What a terminal, a pipe and a full disk get to see."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from making import on_terminal, write_photos

from googlenet_keras.cli import main
from googlenet_keras.console import (
    new_table,
    print_table,
    print_text,
    printable,
    run_script,
)
from googlenet_keras.errors import InterruptionError, UserError

ROOT = Path(__file__).parents[1]
HOSTILE = "a\x1b[31m\x07\x9b2J\u202eb\udce9\r\n\u2028"
ESCAPED = r"a\x1b[31m\x07\x9b2J\u202eb\xe9\r\n\u2028"


def test_what_controls_a_terminal_is_escaped():
    assert printable(HOSTILE) == ESCAPED
    assert printable(Path("a\tb")) == r"a\tb"
    assert printable("\x00\x1f\x7f\x80\x9f\u2066\u2069\ud800") == (
        r"\x00\x1f\x7f\x80\x9f\u2066\u2069\ud800"
    )


@pytest.mark.parametrize(
    "name", ["café [red] C:\\x", "日本語", "ไทย", "👩‍🔬", "می‌خواهم", "\u05d0\u200f!"]
)
def test_names_in_any_script_stay_as_they_are(name):
    assert printable(name) == name


def test_a_text_keeps_its_lines(capsys):
    print_text(f"first\n  {HOSTILE}end")
    first, second, third = capsys.readouterr().out.split("\n", 2)
    assert (first, second) == ("first", r"  a\x1b[31m\x07\x9b2J\u202eb\xe9\r")
    assert third == "\\u2028end\n"


def test_the_log_is_escaped(capsys):
    log = logging.getLogger("googlenet_keras.somewhere")
    log.info("class %s", "\x1b[2J")
    log.warning("file %s", "\x9b")
    shown = capsys.readouterr()
    assert shown.out == "class \\x1b[2J\n"
    assert shown.err == "warning: file \\x9b\n"


@pytest.mark.parametrize(
    "error", [UserError("no \x1b]0;x\x07"), InterruptionError("no \x1b]0;x\x07", 15)]
)
def test_errors_are_escaped(error, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit):
        run_script(main)
    assert capsys.readouterr().err.endswith("no \\x1b]0;x\\x07\n")


def test_check_data_shows_names_escaped(tmp_path, capsys):
    root = write_photos(tmp_path / "photos", {"a\x1b[31m": 1, "b": 1})
    (root / "b" / "x\x1b]0;t\x07\n.jpg").write_text("no image")
    main(["check-data", str(root), "--json", str(tmp_path / "r\x1b.json")])
    out = capsys.readouterr().out
    assert "\n  a\\x1b[31m: 1\n" in out
    assert "\n  b/x\\x1b]0;t\\x07\\n.jpg: no image\n" in out
    assert out.endswith("r\\x1b.json\n")


def test_a_table_shows_its_texts_as_they_are(capsys):
    table = new_table("[bold]name", HOSTILE, numbers=["n"])
    table.add_row("[red]x[/red] :cat: [/]", HOSTILE, "1")
    print_table(table)
    heads, _, row = capsys.readouterr().out.splitlines()
    assert heads.split() == ["[bold]name", ESCAPED, "n"]
    assert row.split() == ["[red]x[/red]", ":cat:", "[/]", ESCAPED, "1"]


def test_a_pipe_gets_whole_rows(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the pipe for a terminal
    monkeypatch.setenv("COLUMNS", "40")
    table = new_table("image", "labels")
    table.add_row("path/" * 800, "label 1.0%, " * 1000)
    print_table(table)
    row = capsys.readouterr().out.splitlines()[-1]
    assert "path/" * 800 in row
    assert row.count("label 1.0%,") == 1000


TABLE = """
from googlenet_keras.console import *
def main():
    names = ("top-1", "top-5", "macro-F1", "loss", "calibration error")
    table = new_table("validation, crops", "images", "head", numbers=names)
    table.add_row("a-run-of-a-long-name, validation", "300", "main",
        *("0.9431", "0.9971", "0.9412", "0.2345", "0.0123"))
    print_table(table)
run_script(main)
"""


@pytest.mark.parametrize("columns", [1, 30, 60, 80, 200])
def test_a_narrow_terminal_folds_names_and_cuts_nothing(columns):
    status, shown = on_terminal(columns, sys.executable, "-c", TABLE)
    assert status == 0
    assert "…" not in shown
    lines = shown.splitlines()
    del lines[: 1 + next(i for i, line in enumerate(lines) if set(line) == {"─"})]
    first = lines[0].index("300")
    assert "".join(line[:first].strip() for line in lines) in (
        "a-run-of-a-long-name,validation",
        "a-run-of-a-long-name, validation",
    )
    for number in ("300", "main", "0.9431", "0.9971", "0.9412", "0.2345", "0.0123"):
        assert number in shown
    assert max(map(len, lines)) <= max(80, columns)  # ten for each of eight


CLOSED = """
import os, subprocess, sys
from googlenet_keras.console import run_script
def main():
    with open(sys.argv[1], "w") as file:
        assert file.fileno() > 2
        print("to stdout", flush=True)
        print("to stderr", file=sys.stderr)
        sys.stdout.write("more")
        subprocess.run(["echo", "of a child"], check=True)
        file.write("mine")
run_script(main)
"""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_get_into_no_other_file(tmp_path, closed):
    file = tmp_path / "file"
    command = ["bash", "-c", f'"$@" {closed}', "-", sys.executable, "-c", CLOSED, file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert file.read_text() == "mine"
    assert done.stdout in ("", "to stdout\nof a child\nmore")
    assert done.stderr in ("", "to stderr\n")


WORK = """
import sys
from pathlib import Path
from googlenet_keras.console import print_text, run_script
def main():
    for number in range(10_000):
        print_text(f"line {number}")
    Path(sys.argv[1]).write_text("done")
run_script(main)
"""


@pytest.mark.parametrize("options", [[], ["-u"]])
def test_the_work_is_done_though_the_reader_leaves(tmp_path, options):
    file, command = tmp_path / "file", [sys.executable, *options, "-c", WORK]
    with subprocess.Popen(
        [*command, file], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"line 0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert file.read_text() == "done"


@pytest.mark.parametrize("options", [[], ["-u"]])
def test_a_full_disk_is_one_message(tmp_path, options):
    command = [sys.executable, *options, "-c", WORK, tmp_path / "file"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
        both = subprocess.run(command, cwd=ROOT, stdout=full, stderr=full)
    assert done.returncode == both.returncode == 2
    assert done.stderr == (
        "error: standard output cannot be written: No space left on device.\n"
    )


def test_names_are_printed_in_an_encoding_that_lacks_their_letters():
    code = (
        "from googlenet_keras.console import *\n"
        "run_script(lambda: print('caf\\u00e9 \\u65e5 \\udce9'))"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", code],
        cwd=ROOT,
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii"},
    )
    assert done.stdout == b"caf\\xe9 \\u65e5 \\udce9\n", done.stderr


def test_paths_are_utf_8_whatever_the_locale():
    assert (
        printable(Path("photos") / os.fsdecode(b"caf\xe9.jpg")) == r"photos/caf\xe9.jpg"
    )
    assert printable(Path("caf\xe9/\u732b.jpg")) == "caf\xe9/\u732b.jpg"
    assert printable("a\x1b[31m\nb\udce9") == r"a\x1b[31m\nb\xe9"
    assert printable("") == ""
