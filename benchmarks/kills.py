"""Kills a run on the digits again and again, and compares it with one left alone.

`python -m benchmarks.kills --kills 20` trains once without interruption, then the same
with SIGKILL at random moments, resumed with --resume each time. It ends with status
1 unless the classifiers' weights are equal bit for bit and metrics.jsonl has every
epoch once. With `--image-sizes 32:5 48:9` the image size changes in the run, and a kill
that met the change says so.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from safetensors import safe_open
from safetensors.numpy import load_file

from googlenet_keras.files import TEMPORARY_SUFFIX, read_json_lines
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.stages import parse_stages

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT_MINUTES = "0.0005"  # less than a step and its writing take
MAX_STARTING_SECONDS = 8.0  # that a kill waits, of a process that starts
MAX_TRAINING_SECONDS = 1.5  # that it waits, of one that trains
CHECKPOINT_TIMEOUT_SECONDS = 120.0  # seconds for a checkpoint to appear
TIME_KEYS = ("seconds", "images_per_second")  # what no two runs have in common


@dataclass(frozen=True)
class Options:
    """What is killed, and how often."""

    kills: int = 20
    """Times that the run is killed."""
    epochs: int = 14
    """Epochs of the run, 37 steps each; those of --image-sizes, if given."""
    image_sizes: tuple[str, ...] = ()
    """Image sizes one after another, with their epochs, as of train.py."""
    architecture: Path | None = None
    """File of its architecture, as of train.py; none: all nine modules."""
    early: float = 0.2
    """Part of the kills that may come while the program is still starting (0..1)."""
    writing: float = 0.3
    """Part of the kills in training that wait for a checkpoint to be written (0..1)."""
    seed: int = 0
    """Of the moments."""


def main() -> None:
    """Prints what each kill met and whether the runs are equal."""
    options = tyro.cli(Options, description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder, "whole"), Path(folder, "killed")
        if status := _command(whole, options).wait():
            sys.exit(f"the run that nobody kills failed with status {status}")
        equal = compare(options, killed, whole)
    sys.exit(not equal)


def compare(options: Options, killed: Path, whole: Path) -> bool:
    """Whether a run in `killed`, killed again and again, ends as that in `whole`."""
    moments = random.Random(options.seed)
    writing = 0
    for number in range(options.kills):
        what = _kill_once(killed, options, moments)
        writing += "writing" in what
        print(f"kill {number + 1}: {what}", flush=True)
    status = _command(killed, options).wait()
    equal = status == 0 and _weights_equal(whole, killed)
    same = _figures(whole) == _figures(killed)
    print(
        f"{options.kills} kills, {writing} while a checkpoint was being written; status"
        f" {status}; weights {'equal' if equal else 'DIFFER'}; metrics.jsonl "
        f"{'has every epoch once' if same else 'DIFFERS'}"
    )
    return equal and same


def _kill_once(run: Path, options: Options, moments: random.Random) -> str:
    """Starts or resumes the run, kills it, and says where it was."""
    before, done = _newest_checkpoint(run), _progress(run)
    process = _command(run, options)
    if moments.random() < options.early:
        time.sleep(moments.uniform(0, MAX_STARTING_SECONDS))
        where = "early"
    else:
        end = time.monotonic() + CHECKPOINT_TIMEOUT_SECONDS
        while (
            _newest_checkpoint(run) == before
            and time.monotonic() < end
            and process.poll() is None
        ):
            time.sleep(0.01)
        time.sleep(moments.uniform(0, MAX_TRAINING_SECONDS))
        if moments.random() < options.writing:
            while not _is_writing(run) and process.poll() is None:
                time.sleep(0.0005)
        where = "in training"
    process.kill()
    process.wait()
    if _is_writing(run):
        where += ", writing a checkpoint"
    now = _progress(run)
    if now < done:
        raise SystemExit(f"it restarted earlier: epoch and step {done} became {now}")
    if now in [(stage.start, 0) for stage in parse_stages(options.image_sizes)[1:]]:
        where += ", changing the image size"
    return f"{where}, newest checkpoint {_newest_checkpoint(run) or 'none'}"


def _is_writing(run: Path) -> bool:
    return any(run.glob(f"checkpoints/*{TEMPORARY_SUFFIX}"))


def _newest_checkpoint(run: Path) -> str:
    names = [p.stem for p in run.glob("checkpoints/*.sha256")]
    return max(names, default="")


def _progress(run: Path) -> tuple[int, int]:
    """Epochs and steps of the newest checkpoint."""
    if not (name := _newest_checkpoint(run)):
        return 0, 0
    with safe_open(RunFolder(run).checkpoints / f"{name}.safetensors", "np") as file:
        progress = json.loads(file.metadata()["progress"])
    return progress["epoch"], progress["step"]


def _command(run: Path, options: Options) -> subprocess.Popen:
    command = [sys.executable, "train.py", "--resume", "--run-folder", str(run)]
    command += ["--recipe", "smoke"]
    if options.image_sizes:
        command += ["--image-sizes", *options.image_sizes]
    else:
        command += ["--epochs", str(options.epochs)]
    if options.architecture:
        command += ["--architecture", str(options.architecture)]
    command += ["--checkpoint-minutes", CHECKPOINT_MINUTES]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet)


def _weights_equal(*runs: Path) -> bool:
    a, b = (load_file(RunFolder(r).classifier / "weights.safetensors") for r in runs)
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n]) for n in a)


def _figures(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what no two runs have in common."""
    lines = read_json_lines(RunFolder(run).metrics)
    return [{k: v for k, v in line.items() if k not in TIME_KEYS} for line in lines]


if __name__ == "__main__":
    main()
