"""The scripts as processes: what they print, how they end, what they do not import."""

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from making import is_running, on_terminal, processes, tiny_flags, write_photos

import export
import train
from googlenet_keras import cli
from googlenet_keras.console import run_script
from googlenet_keras.errors import UserError
from tuning import search

ROOT = Path(__file__).parent.parent
PACKAGE = ["-m", "googlenet_keras"]


def call(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )


@pytest.mark.parametrize(
    "command",
    [
        ["train.py", "--help"],
        ["export.py", "--help"],
        ["-m", "googlenet_keras", "--help"],
        ["-m", "googlenet_keras", "--version"],
        ["-m", "googlenet_keras", "train", "--help"],
        ["-m", "googlenet_keras", "export", "--help"],
        ["-m", "googlenet_keras", "search", "--help"],
        ["-m", "googlenet_keras", "describe"],
        ["-m", "googlenet_keras", "evaluate", "--help"],
        ["-m", "googlenet_keras", "predict", "--help"],
        ["-m", "tuning.search", "--help"],
    ],
)
def test_help_and_describe_do_without_tensorflow(command):
    done = call("-X", "importtime", *command)
    assert done.returncode == 0
    assert done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "googlenet_keras" in imported
    assert not imported & {"tensorflow", "keras", "numpy", "sklearn", "matplotlib"}


def test_a_users_mistake_is_one_message_and_status_2():
    done = call("train.py", "--recipe", "smok")
    assert done.returncode == 2
    assert "Did you mean 'smoke'" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (train.main, ["--dataset", "./nowhere"], "no such folder"),
        (export.main, ["--run-folder", "./nowhere"], "is not a folder"),
        (cli.main, ["predict", "no.tflite", "x.jpg"], "no such export"),
        (cli.main, ["evaluate", "/"], "has a config.json"),
    ],
)
def test_a_mistake_that_the_work_finds_is_one_line(main, arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        run_script(lambda: main(arguments))
    out, error = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (train.main, ["--variant", "papr"], "Did you mean 'paper'"),
        (train.main, ["--image-size", "16"], "at least 32 pixels"),
        (export.main, ["--formats", "int9"], "'int8'?"),
        (cli.main, ["describe", "--classes", "1"], "at least 2"),
    ],
)
def test_a_value_that_cannot_be_is_named(main, arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        run_script(lambda: main(arguments))
    out, error = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert message in " ".join(error.replace("│", " ").split())


def test_a_disk_that_cannot_be_written(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    photos = write_photos(tmp_path / "photos", {"a": 8, "b": 8})
    flags = [*tiny_flags(photos), "--run-folder", str(blocked / "run")]
    with pytest.raises(SystemExit) as end:
        run_script(lambda: train.main(flags))
    assert end.value.code == 2
    assert "cannot be made" in capsys.readouterr().err


@pytest.mark.slow
def test_kills_change_nothing(run_folder, tmp_path, capsys):
    from benchmarks.kills import Options, compare

    network = run_folder / "architecture.json"
    options = Options(kills=1, epochs=2, architecture=network, early=0.0)
    equal = compare(options, tmp_path / "killed", run_folder)
    assert equal, capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_is_asked_to_stop_says_how_to_go_on(tmp_path):
    folder, photos = tmp_path / "run", write_photos(tmp_path / "p", {"a": 8, "b": 8})
    flags = [*tiny_flags(photos), "--run-folder", folder]
    flags[flags.index("--epochs") + 1] = "999"
    command = [sys.executable, "train.py", *flags]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while not list(folder.glob("checkpoints/*.sha256")) and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert f"python train.py --resume --run-folder {folder}" in said
    assert "Traceback" not in said
    with pytest.raises(UserError, match="--seed was 0 and is 3"):
        train.main(["--resume", "--run-folder", str(folder), "--seed", "3"])


def in_shell(ending, arguments):
    """The status of Python with `arguments` and a line's end; its output and errors."""
    shell = ["bash", "-o", "pipefail", "-c", f'"$@" {ending}', "-"]
    done = subprocess.run(
        [*shell, sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    error = re.sub(
        "(?m)^([IWE]0000|WARNING: All log).*\n", "", done.stderr
    )  # TensorFlow's
    return done.returncode, done.stdout, error


FULL = "error: standard output cannot be written: No space left on device.\n"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["train.py", "--help"], [*PACKAGE, "describe"]])
def test_a_reader_that_leaves_is_no_error(arguments):
    status, first, error = in_shell("| head -1", arguments)
    assert (status, first.count("\n"), error) == (0, 1, "")
    assert in_shell("| true", arguments) == (0, "", "")
    assert in_shell(">&-", arguments) == (0, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["train.py", "--help"],
        ["export.py", "--help"],
        ["-m", "tuning.search", "--help"],
        [*PACKAGE, "--help"],
        [*PACKAGE, "predict", "--help"],
        [*PACKAGE, "describe"],
        [*PACKAGE, "describe", "--json"],
    ],
)
def test_a_full_disk_is_an_error(arguments):
    """Only what goes through run_script notices it, or a reader that leaves."""
    assert in_shell("> /dev/full", arguments) == (2, "", FULL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "ending", "status", "error"),
    [
        ("predict", "| head -1", 0, ""),
        *(
            pytest.param(*case, marks=pytest.mark.exhaustive)
            for case in (
                ("evaluate", "> /dev/full", 2, FULL),
                ("compare", ">&-", 0, ""),
                ("check-data", "| true", 0, ""),
            )
        ),
    ],
    ids=["predict", "evaluate", "compare", "check-data"],
)
def test_a_command_on_a_run_does_its_work_though_nobody_reads_its_output(
    run_folder, tmp_path, command, ending, status, error
):
    photos = write_photos(tmp_path / "photos", {"1": 2, "7": 2})
    other, file = shutil.copytree(run_folder, tmp_path / "run"), tmp_path / "file"
    arguments = {
        "predict": [run_folder, photos, "--explain", file],
        "evaluate": [run_folder, "--dataset", photos],
        "compare": [run_folder, other, "--report", file],
        "check-data": [photos, "--json", file],
    }
    done = in_shell(ending, [*PACKAGE, command, *arguments[command]])
    assert (done[0], done[2]) == (status, error)
    assert file.exists() is (status == 0)


@pytest.mark.parametrize("columns", ["1", "0", "-5", "abc", "²", "100000", "9" * 30])
@pytest.mark.parametrize("main", [train.main, search.main], ids=["train", "search"])
def test_help_ends_whatever_the_width_is(columns, main, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit) as end:
        run_script(lambda: main(["--help"]))
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert "--image-size" in shown
    assert 38 <= max(map(len, shown.splitlines())) <= 130


@pytest.mark.parametrize("columns", [0, 1, 20])
@pytest.mark.parametrize(
    "arguments", [["train.py", "--help"], [*PACKAGE, "describe", "--variant", "slim"]]
)
def test_a_narrow_terminal_is_no_error(columns, arguments):
    status, shown = on_terminal(columns, sys.executable, *arguments)
    assert status == 0
    assert "…" not in shown
    assert len(shown) < 100_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.exhaustive)],
)
def test_an_export_that_is_stopped_leaves_nothing_behind(run_folder, tmp_path, number):
    run = shutil.copytree(run_folder, tmp_path / "run")
    shutil.rmtree(run / "export", ignore_errors=True)
    process = subprocess.Popen(
        [sys.executable, "export.py", "--run-folder", run],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(session_members(process.pid)) < 3 and process.poll() is None:
        time.sleep(0.05)  # until it has a child beside multiprocessing's own
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert said.endswith("ended by SIGTERM\n")
        assert "Traceback" not in said
        assert not list(run.glob("export*"))
    end = time.monotonic() + 10
    while session_members(process.pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert session_members(process.pid) == []


def session_members(session):
    """The processes of a session that have not ended."""
    return [pid for pid, _, x in processes() if x == session and is_running(pid)]


def test_imports_go_down_only():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_public_names_can_be_imported():
    import googlenet_keras

    for name in googlenet_keras.__all__:
        assert getattr(googlenet_keras, name)
    assert {*googlenet_keras.__all__} <= {*dir(googlenet_keras)}
    assert re.fullmatch(r"\d+\.\d+\.\d+", googlenet_keras.__version__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = googlenet_keras.nothing


def test_importing_the_package_is_quick():
    done = call(
        "-X", "importtime", "-c", "import googlenet_keras; dir(googlenet_keras)"
    )
    assert done.returncode == 0
    assert not re.search(r"\| +(keras|numpy|tyro)$", done.stderr, re.MULTILINE)
