"""Times an exported file on a phone, with LiteRT's benchmark program through adb."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal, TypedDict

from googlenet_keras.errors import UserError

PHONE_FOLDER = "/data/local/tmp"  # where a program may be put and run
PHONE_BINARY = f"{PHONE_FOLDER}/benchmark_model"
BINARY_PAGE = "https://ai.google.dev/edge/litert/models/measurement"  # to download
MAX_SECONDS = 600  # of a call
WARMUP_RUNS = 5
PROPERTIES = {  # of Android's getprop
    "phone": "ro.product.model",
    "chip": "ro.soc.model",
    "android": "ro.build.version.release",
}
# as the program prints them, in microseconds and megabytes
TIMINGS = re.compile(r"count=(\d+).* min=(\d+) max=(\d+) avg=([\d.e+]+)")
MEMORY = re.compile(r"Memory footprint delta .*overall=([\d.]+)")


class PhoneReport(TypedDict):
    """The report of a file on a phone."""

    what: Literal["inference"]
    options: dict[str, Any]
    repeats: int
    milliseconds: dict[str, float]  # "mean", "min" and "max" of an image
    peak_megabytes: float | None  # more than the program took at its start
    environment: dict[str, str]  # the phone


def measure_on_phone(
    file: Path, *, threads: int, repeats: int, binary: Path | None
) -> PhoneReport:
    """Times a .tflite file on the phone that adb is connected to.

    binary: LiteRT's benchmark_model for the phone; None: it is at PHONE_BINARY there.
    Raises UserError.
    """
    if file.suffix != ".tflite" or not file.is_file():
        raise UserError(f"a phone runs a .tflite file; received {file}.")
    if binary and not binary.is_file():
        raise UserError(f"no such benchmark_model: {binary}.")
    _check_phone()
    _push_binary(binary)
    target = f"{PHONE_FOLDER}/googlenet_keras.tflite"
    _adb("push", str(file), target)
    flags = {"graph": target, "num_runs": repeats, "warmup_runs": WARMUP_RUNS}
    if threads:
        flags["num_threads"] = threads
    try:
        text = _adb("shell", PHONE_BINARY, *(f"--{k}={v}" for k, v in flags.items()))
    finally:
        _adb("shell", "rm", "-f", target)
    count, milliseconds, megabytes = _parse(text)
    return {
        "what": "inference",
        "options": {"file": file.name, "threads": threads, "device": "adb"},
        "repeats": count,
        "milliseconds": milliseconds,
        "peak_megabytes": megabytes,
        "environment": {
            name: _adb("shell", "getprop", value).strip()
            for name, value in PROPERTIES.items()
        },
    }


def phone_text(report: PhoneReport) -> str:
    """The report for a terminal."""
    time, phone = report["milliseconds"], report["environment"]
    return (
        f"inference: {', '.join(f'{k} {v}' for k, v in report['options'].items())}\n"
        f"{time['mean']:.2f} ms an image in the mean of {report['repeats']} "
        f"({time['min']:.2f} to {time['max']:.2f}) on {phone['phone']}, "
        f"{phone['chip']}, Android {phone['android']}"
    )


def _check_phone() -> None:
    """Raises UserError unless exactly one phone answers, or ANDROID_SERIAL's."""
    if not shutil.which("adb"):
        raise UserError(
            "--device adb needs the program adb, of Android's platform-tools, and a "
            "phone with USB debugging. Without it leave --device out."
        )
    lines = _adb("devices").strip().splitlines()[1:]
    states = dict(line.split("\t", 1) for line in lines if "\t" in line)
    if not states:
        raise UserError(
            "adb finds no phone. Connect one and allow USB debugging in its developer "
            "options."
        )
    try:
        state = _adb("get-state").strip()
    except UserError as error:  # which has adb's own words
        found = ", ".join(f"{name} ({state})" for name, state in states.items())
        raise UserError(
            f"one phone must answer; adb finds {found}. Allow this computer on the "
            "phone, or name one of several in ANDROID_SERIAL."
        ) from error
    if state != "device":
        raise UserError(f"the phone must be ready; adb says {state!r:.80}.")


def _push_binary(binary: Path | None) -> None:
    if binary:
        _adb("push", str(binary), PHONE_BINARY)
        _adb("shell", "chmod", "755", PHONE_BINARY)
        return
    try:
        _adb("shell", "ls", PHONE_BINARY)
    except UserError as error:
        raise UserError(
            f"the phone has no {PHONE_BINARY}. Download LiteRT's benchmark_model for "
            f"it ({BINARY_PAGE}) and give it with --benchmark-binary."
        ) from error


def _adb(*arguments: str) -> str:
    """What an adb command prints. Raises UserError with its words if it fails."""
    try:
        done = subprocess.run(
            ["adb", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=MAX_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"adb {arguments[0]} takes over {MAX_SECONDS} s.") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        raise UserError(f"adb {arguments[0]} failed; it said {said[-1]}")
    return done.stdout + done.stderr  # the program logs to both


def _parse(text: str) -> tuple[int, dict[str, float], float | None]:
    """Repeats, milliseconds and memory from what the program prints."""
    found = TIMINGS.findall(text)
    if not found:
        last = text.strip().splitlines()[-1:] or ["nothing"]
        raise UserError(f"the phone's benchmark gave no timings; it said {last[0]}")
    count, low, high, mean = found[-1]  # the warm-up is before
    memory = MEMORY.search(text)
    numbers = {"mean": float(mean), "min": float(low), "max": float(high)}
    milliseconds = {name: value / 1e3 for name, value in numbers.items()}
    return int(count), milliseconds, float(memory[1]) if memory else None
