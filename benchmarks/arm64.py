"""Runs a run's exported files on phones' processors, under an emulator.

    python -m benchmarks.arm64 RUN [RUN ...]

On Debian it fetches what it needs by apt-get and pip into the cache folder and installs
nothing. An emulator that computes wrong is refused. Each .tflite file classifies 50
photographs on a Cortex-A53 and a Cortex-A76; a row says how its answers differ from
those on this machine. report.json of the export gets the rows, too. Exit status 1 if
one has not passed.

Seconds are the emulator's and say nothing of a phone's; floating point takes ten times
those of int8.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.compiled_model import Job
from benchmarks.emulator import (
    EIGHT_BIT_STEP,
    PROCESSORS,
    Emulator,
    Processor,
    find_processor,
)
from benchmarks.jobs import Answers, run_jobs
from benchmarks.probe import write_probe
from benchmarks.proofs import (
    ExportedFile,
    Proof,
    Selection,
    compare,
    print_proofs,
    record,
)
from googlenet_keras.console import run_script
from googlenet_keras.machine import cores

LIMITS = {  # of the difference of a probability
    "float32": 1e-6,  # another order of the same sums
    "float16": 1e-3,  # half of float16's last digit, near 1
}  # all others have bytes inside, in steps of EIGHT_BIT_STEP
FLOAT16_ARITHMETIC = ", float16 arithmetic"  # after a processor's name
FLOAT16_ARITHMETIC_LIMIT = 1 / 64  # 57 layers, each rounded to 11 binary digits
FLOAT_FORMATS = ("float16", "float32")  # of which the first is run in float16
XNNPACK_FORCE_FP16 = 4  # a flag of its delegate


@dataclass(frozen=True)
class Options(Selection):
    """Options of the emulated processors."""

    processors: tuple[str, ...] = tuple(x.name for x in PROCESSORS)
    """Processors to emulate."""
    qemu: Path | None = None
    """The emulator; none: qemu-aarch64 of this machine, or else Debian's."""
    minutes: float = 240.0
    """The most that all files may take on a processor."""


@dataclass(frozen=True)
class Task:
    """A file to run on a processor, and how far its answers may differ."""

    file: ExportedFile
    job: Job
    limit: float
    suffix: str = ""  # of the processor's name


def plan(jobs: Mapping[ExportedFile, Job], processor: Processor) -> list[Task]:
    """The tasks of a processor: every file, and one of each run in float16."""
    tasks = [
        Task(file, job, LIMITS.get(file.format, EIGHT_BIT_STEP))
        for file, job in jobs.items()
    ]
    if not processor.has_float16_arithmetic:
        return tasks
    chosen: dict[Path, Task] = {}
    for format in FLOAT_FORMATS:
        for file, job in jobs.items():
            if file.format == format:
                forced: Job = {**job, "xnnpack_flags": XNNPACK_FORCE_FP16}
                task = Task(file, forced, FLOAT16_ARITHMETIC_LIMIT, FLOAT16_ARITHMETIC)
                chosen.setdefault(file.path.parent, task)
    return [*tasks, *chosen.values()]


def prove(options: Options, emulator: Emulator, folder: Path) -> list[Proof]:
    """Runs every file here and on each processor. Raises UserError."""
    seconds = options.minutes * 60
    processors = [find_processor(name) for name in options.processors]
    probe = write_probe(folder)
    for processor in processors:
        emulator.check(processor, probe, seconds)
    jobs = options.jobs(folder)
    own = [*jobs.values()]
    here = run_jobs([sys.executable], own, {}, seconds, "Python")
    expected = dict(zip(jobs, here, strict=True))

    def on(processor: Processor) -> list[Proof]:
        tasks = plan(jobs, processor)
        found = emulator.run(processor, [task.job for task in tasks], seconds)
        return list(judge(processor, tasks, found, expected))

    with ThreadPoolExecutor(cores()) as pool:
        return [proof for proofs in pool.map(on, processors) for proof in proofs]


def judge(
    processor: Processor,
    tasks: Sequence[Task],
    found: Sequence[Answers],
    expected: Mapping[ExportedFile, Answers],
) -> list[Proof]:
    """The proof of each task by its answers on the processor and those here."""
    return [
        Proof(
            task.file,
            processor.name + task.suffix,
            compare(expected[task.file], answers, task.limit),
        )
        for task, answers in zip(tasks, found, strict=True)
    ]


def main() -> None:
    """Runs the files, prints the table and records it in each export's report.json."""
    options = tyro.cli(Options, description=__doc__)
    emulator = Emulator.prepare(options.qemu)
    with tempfile.TemporaryDirectory() as folder:
        proofs = prove(options, emulator, Path(folder))
    print_proofs(proofs)
    print(emulator.version)
    record(proofs)
    sys.exit(0 if all(proof.row["passed"] for proof in proofs) else 1)


if __name__ == "__main__":
    run_script(main)
