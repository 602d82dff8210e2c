"""Proves an exported file on another processor: its answers beside those here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tensorflow as tf
import tyro

import googlenet_keras as gk
from benchmarks.compiled_model import Job
from benchmarks.jobs import Answers, new_job
from googlenet_keras.artifacts.artifact import Contents
from googlenet_keras.console import new_table, print_table
from googlenet_keras.data.folder_source import files_below
from googlenet_keras.data.image_files import read_image_file
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.exporting.report import ProcessorRow
from googlenet_keras.exports import EXPORT_REPORT_FILE
from googlenet_keras.files import read_json, write_json

TEXTS = ("run", "file", "processor", "verdict")
NUMBERS = ("photos", "bit-equal", "top-1 equal", "difference", "seconds")


@dataclass(frozen=True)
class Selection:
    """Which files are run, and on which photographs."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of exported runs."""
    photos: Path | None = None
    """A folder of photographs; none: those of the split."""
    split: str = "validation"
    """The split of each run whose photographs are classified."""
    count: int = 50
    """Photographs, spread evenly over the folder or the split."""
    formats: tuple[str, ...] = ()
    """Formats to run; none: every .tflite file."""

    def jobs(self, folder: Path) -> "dict[ExportedFile, Job]":
        """The job of running each file; the inputs go into `folder`.

        Raises UserError for no run, one that was not exported, and no photographs.
        """
        if not self.runs:
            raise UserError("a run must be named: the folder of one that was exported.")
        found = {}
        for run in map(gk.Run, self.runs):
            photos = Photos.read(run, self.split, self.photos, self.count)
            for file in find_files(run, self.formats):
                found[file] = file.job(photos, folder)
        return found


@dataclass(frozen=True)
class Photos:
    """Encoded photographs, or pixels [h, w, 3], as a run's files take them."""

    images: list[tf.Tensor]

    @classmethod
    def read(cls, run: gk.Run, split: str, folder: Path | None, count: int) -> "Photos":
        """`count` photographs, spread evenly over a folder or a split of the run.

        Raises UserError if there are none.
        """
        if folder:
            files = files_below(folder)
            if not files:
                raise UserError(f"--photos must have photographs; {folder} has none.")
            chosen = (files[i] for i in spread(len(files), count))
            return cls([tf.constant(read_image_file(path)) for path in chosen])
        source = run.dataset.split(split)
        places = {*spread(source.count, count)}
        references = enumerate(x for _, _, x in source.in_order())
        return cls([source.load(x) for i, x in references if i in places])

    def preprocess(self, geometry: Preprocessing) -> np.ndarray:
        """The inputs of a file, [photos, height, width, 3] float32 in 0..255."""
        prepare = {tf.string: geometry.read, tf.uint8: geometry}
        return np.stack([prepare[x.dtype](x).numpy() for x in self.images])


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` of the places 0 to count - 1, evenly spread."""
    places = np.linspace(0, count - 1, min(count, wanted))
    return sorted({int(place) for place in places.round()})


@dataclass(frozen=True)
class ExportedFile:
    """A .tflite file of a run that passed the check of its export."""

    run: gk.Run
    format: str  # its name in report.json
    path: Path
    gpu_refuses: tuple[str, ...]  # what report.json says

    def job(self, photos: Photos, folder: Path) -> Job:
        """The job of running it on the photographs; its inputs go into `folder`."""
        geometry = Contents.read(self.path).preprocessing
        inputs = folder / f"{self.run.folder.path.name}-{self.format}.npy"
        np.save(inputs, photos.preprocess(geometry))
        return new_job(self.path, inputs)


def find_files(run: gk.Run, formats: Sequence[str] = ()) -> list[ExportedFile]:
    """The .tflite files of a run's export; formats: only these. Raises UserError."""
    report = run.folder.export / EXPORT_REPORT_FILE
    if not report.exists():
        raise UserError(f"a run must be exported first; {run.folder.path} is not.")
    rows = read_json(report)["formats"]
    found = [
        ExportedFile(run, name, report.with_name(row["file"]), (*row["gpu_refuses"],))
        for name, row in rows.items()
        if row.get("passed") and row["file"].endswith(".tflite")
    ]
    return [file for file in found if not formats or file.format in formats]


@dataclass(frozen=True)
class Proof:
    """The row of a file on a processor, for its export's report.json."""

    file: ExportedFile
    processor: str
    row: ProcessorRow


def compare(expected: Answers, found: Answers, limit: float) -> ProcessorRow:
    """Judges answers: each probability within `limit`, and every top-1 the same."""
    if error := found.error or expected.error:
        return {
            "images": 0, "bit_equal": 0, "top1_equal": 0, "max_difference": 0.0,
            "seconds": found.seconds, "fully_accelerated": False, "passed": False,
            "reason": " ".join(error.split()),
        }  # fmt: skip
    right, answers = expected.probabilities, found.probabilities
    apart, count = np.abs(answers - right), len(right)
    top1_equal = int(np.sum(answers.argmax(axis=1) == right.argmax(axis=1)))
    reasons = []
    if not apart.max() <= limit:  # NaN is not
        reasons.append(
            f"probabilities differ by {apart.max():.2g}, allowed {limit:.2g}"
        )
    if top1_equal < count:
        reasons.append(f"{count - top1_equal} of {count} top-1 answers differ")
    return {
        "images": count,
        "bit_equal": int(np.sum((answers == right).all(axis=1))),
        "top1_equal": top1_equal,
        "max_difference": float(apart.max()),
        "seconds": found.seconds,
        "fully_accelerated": found.is_fully_accelerated,
        "passed": not reasons,
        "reason": "; ".join(reasons) or None,
    }


def record(proofs: Iterable[Proof]) -> None:
    """Writes each proof into its format's row of report.json, under `processors`."""
    for proof in proofs:
        path = proof.file.path.with_name(EXPORT_REPORT_FILE)
        report = read_json(path)
        row = report["formats"][proof.file.format]
        row.setdefault("processors", {})[proof.processor] = proof.row
        write_json(path, report)


def print_proofs(proofs: Sequence[Proof]) -> None:
    """Prints a row for each proof."""
    table = new_table(*TEXTS, numbers=NUMBERS)
    for proof in proofs:
        row = proof.row
        table.add_row(
            proof.file.run.folder.path.name,
            proof.file.path.name,
            proof.processor,
            verdict(row),
            str(row["images"]),
            str(row["bit_equal"]),
            str(row["top1_equal"]),
            f"{row['max_difference']:.2g}",
            f"{row['seconds']:.1f}",
        )
    print_table(table)


def verdict(row: ProcessorRow) -> str:
    """The verdict in words: passed or FAILED, with the reason if there is one."""
    word = "passed" if row["passed"] else "FAILED"
    return f"{word}: {row['reason']}" if row["reason"] else word
