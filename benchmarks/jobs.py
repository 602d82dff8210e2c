"""Runs jobs of benchmarks/compiled_model.py in a child process, with a time limit."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import compiled_model
from benchmarks.compiled_model import Job, Outcome
from googlenet_keras.errors import UserError


@dataclass(frozen=True)
class Answers:
    """The answers of a job: probabilities [images, classes], none after an error."""

    probabilities: np.ndarray
    seconds: float
    is_fully_accelerated: bool
    error: str | None


def new_job(
    file: Path, images: Path, accelerator: str = "CPU", xnnpack_flags: int = 0
) -> Job:
    """A job for `run_jobs`; images: a .npy file."""
    return {
        "file": str(file.resolve()),
        "images": str(images.resolve()),
        "answers": "",
        "accelerator": accelerator,
        "xnnpack_flags": xnnpack_flags,
    }


def run_jobs(
    python: Sequence[str],
    jobs: Sequence[Job],
    environment: Mapping[str, str],
    seconds: float,
    name: str,
) -> list[Answers]:
    """Runs the jobs in one process and returns what came of each.

    python: the command of a Python. environment: variables besides this process's.
    seconds: the most. name: of the Python in messages. Raises UserError if the process
    crashes or takes longer.
    """
    with tempfile.TemporaryDirectory() as folder:
        placed: list[Job] = [
            {**job, "answers": str(Path(folder) / f"{number}.npy")}
            for number, job in enumerate(jobs)
        ]
        list_file = Path(folder) / "jobs"
        list_file.write_text(json.dumps(placed))
        command = [*python, compiled_model.__file__, str(list_file)]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "PYTHONPATH": "", **environment},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise UserError(
                f"{name} takes more than {seconds:.0f} seconds for {len(jobs)} files."
            ) from error
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason"])[-1]
            raise UserError(f"{name} ends with {done.returncode}: {reason}")
        return [_read(Path(job["answers"])) for job in placed]


def _read(path: Path) -> Answers:
    outcome: Outcome = json.loads(path.with_suffix(".json").read_text())
    found = np.zeros((0, 0)) if outcome["error"] else np.load(path)
    return Answers(
        found, outcome["seconds"], outcome["fully_accelerated"], outcome["error"]
    )
