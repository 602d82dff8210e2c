"""Timing on a phone, with a program in place of adb that behaves as one."""

import json
import os

import pytest
from making_artifacts import tflite

from googlenet_keras.cli import main
from googlenet_keras.commands.phone_benchmark import PHONE_BINARY
from googlenet_keras.errors import UserError

# in place of adb: writes its arguments into a file, and answers as a phone
ADB = """#!/bin/sh
echo "$*" >> "$ADB_CALLS"
case "$*" in
  devices) printf 'List of devices attached\\n%b\\n' "$ADB_DEVICES" ;;
  get-state) [ "$ADB_STATE" ] || { echo 'error: device unauthorized.' >&2; exit 1; }
             echo "$ADB_STATE" ;;
  "shell ls"*) [ "$ADB_BINARY" ] || { echo 'No such file or directory' >&2; exit 1; } ;;
  "shell getprop ro.product.model") echo 'Pixel 9' ;;
  "shell getprop ro.soc.model") echo 'Tensor G4' ;;
  "shell getprop"*) echo 16 ;;
  "shell /data"*) cat "$ADB_ANSWER" >&2 ;;
esac
"""
ANSWER = """INFO: Running benchmark for at least 5 iterations
INFO: count=5 first=9000 curr=7000 min=6900 max=9000 avg=7400 std=800
INFO: Running benchmark for at least 3 iterations
INFO: count=3 first=4000 curr=4200 min=4000 max=4400 avg=4200.5 std=163
INFO: Inference timings in us: Init: 5000, First inference: 9000, Inference (avg): 4200
INFO: Memory footprint delta from the start of the tool (MB): init=2.5 overall=7.25
"""


@pytest.fixture
def phone(tmp_path, monkeypatch):
    """A stand-in for adb with a phone; its answers are in environment variables."""
    program = tmp_path / "bin" / "adb"
    program.parent.mkdir()
    program.write_text(ADB)
    program.chmod(0o755)
    (tmp_path / "answer").write_text(ANSWER)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for name, value in {
        "CALLS": tmp_path / "calls", "DEVICES": "A1\\tdevice", "STATE": "device",
        "BINARY": "1", "ANSWER": tmp_path / "answer",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"ADB_{name}", str(value))
    return tflite(tmp_path / "int8.tflite")


def measure(file, *flags):
    arguments = ["--model", str(file), "--device", "adb", "--repeats", "3"]
    main(["benchmark", "inference", *arguments, *flags])


def test_a_file_is_timed_on_the_phone(phone, tmp_path, capsys):
    measure(phone, "--threads", "4", "--json", str(tmp_path / "report.json"))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["milliseconds"] == {"mean": 4.2005, "min": 4.0, "max": 4.4}
    assert (report["repeats"], report["peak_megabytes"]) == (3, 7.25)
    assert report["environment"] == {
        "phone": "Pixel 9", "chip": "Tensor G4", "android": "16"
    }  # fmt: skip
    calls = (tmp_path / "calls").read_text().splitlines()
    target = "/data/local/tmp/googlenet_keras.tflite"
    assert f"push {phone} {target}" in calls
    (run,) = [call for call in calls if call.startswith(f"shell {PHONE_BINARY}")]
    assert {"--num_threads=4", "--num_runs=3", f"--graph={target}"} <= {*run.split()}
    assert calls.index(f"shell rm -f {target}") > calls.index(run)
    assert "4.20 ms an image in the mean of 3 (4.00 to 4.40) on Pixel 9, Tensor G4" in (
        capsys.readouterr().out
    )


def test_the_program_is_pushed_if_it_is_given(phone, tmp_path, monkeypatch):
    monkeypatch.setenv("ADB_BINARY", "")
    with pytest.raises(UserError, match="phone has no /data/local/tmp/benchmark_model"):
        measure(phone)
    (tmp_path / "benchmark_model").write_bytes(b"")
    measure(phone, "--benchmark-binary", str(tmp_path / "benchmark_model"))
    calls = (tmp_path / "calls").read_text()
    assert f"push {tmp_path}/benchmark_model {PHONE_BINARY}\n" in calls
    assert f"shell chmod 755 {PHONE_BINARY}\n" in calls


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("DEVICES", "", "adb finds no phone. Connect one"),
        ("STATE", "", r"adb finds A1 \(device\). Allow this computer"),
        ("STATE", "offline", "must be ready; adb says 'offline'"),
        ("ANSWER", os.devnull, "gave no timings; it said nothing"),
    ],
)
def test_what_is_missing_is_said(phone, monkeypatch, variable, value, message):
    monkeypatch.setenv(f"ADB_{variable}", value)
    with pytest.raises(UserError, match=message):
        measure(phone)


def test_without_adb_one_message_says_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="needs the program adb, of Android's"):
        measure(tflite(tmp_path / "int8.tflite"))


def test_options_that_a_phone_does_not_have_are_refused(phone, tmp_path):
    with pytest.raises(UserError, match="one image at a time"):
        measure(phone, "--batch-size", "2")
    with pytest.raises(UserError, match=r"runs a \.tflite file; received"):
        measure(tmp_path)
    with pytest.raises(UserError, match="benchmark_binary needs --device adb"):
        main(["benchmark", "inference", "--model", "x", "--benchmark-binary", "y"])
