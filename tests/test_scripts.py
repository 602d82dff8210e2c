"""The scripts as processes: what they print, how they end, what they do not import."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train.py", "--variant", "papr"], "Did you mean 'paper'"),
        (["train.py", "--recipe", "smok"], "Did you mean 'smoke'"),
        (["train.py", "--image-size", "16"], "at least 32 pixels"),
        (["train.py", "--dataset", "./nowhere"], "no such folder"),
        (["export.py", "--run-folder", "./nowhere"], "is not a folder"),
        (["export.py", "--formats", "int9"], "'int8'?"),
        (["-m", "googlenet_keras", "predict", "no.tflite", "x.jpg"], "no such export"),
        (["-m", "googlenet_keras", "evaluate", "/"], "has a config.json"),
        (["-m", "googlenet_keras", "describe", "--classes", "1"], "at least 2"),
    ],
)
def test_a_users_mistake_is_one_message_and_status_2(arguments, message):
    done = call(*arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_a_disk_that_cannot_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = call("train.py", "--run-folder", str(blocked / "run"))
    assert done.returncode == 2
    assert "cannot be made" in done.stderr


@pytest.mark.slow
def test_kills_change_nothing(run_folder, tmp_path, capsys):
    from benchmarks.kills import Options, compare

    options = Options(kills=1, epochs=2, early=0.0)
    equal = compare(options, tmp_path / "killed", run_folder)
    assert equal, capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_is_asked_to_stop_says_how_to_go_on(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "train.py", "--recipe", "smoke", "--run-folder", folder]
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
    done = call("train.py", "--resume", "--run-folder", str(folder), "--seed", "3")
    assert done.returncode == 2
    assert "--seed was 0 and is 3" in done.stderr


@pytest.mark.parametrize(("reader", "read"), [("head -1", "{\n"), ("true", "")])
def test_a_reader_that_stops_early_is_no_error(reader, read):
    command = f"{sys.executable} -m googlenet_keras describe --json | {reader}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, read, "")


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
