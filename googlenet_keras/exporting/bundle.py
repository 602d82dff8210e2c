"""Makes, checks and measures every format of an export, and writes the report."""

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from googlenet_keras import machine
from googlenet_keras.artifacts.contents import LABELS_FILE, Contents
from googlenet_keras.artifacts.mediapipe_metadata import (
    MEDIAPIPE_MISSING_MESSAGE,
    has_mediapipe,
)
from googlenet_keras.artifacts.runtimes import TFLITE_SUFFIX
from googlenet_keras.classifier import WEIGHTS_FILE
from googlenet_keras.exporting import parity
from googlenet_keras.exporting.formats import Format
from googlenet_keras.exporting.inspection import inspect_tflite
from googlenet_keras.exporting.job import ExportJob
from googlenet_keras.exporting.parity import Reference
from googlenet_keras.exporting.report import (
    ExportReport,
    FormatRow,
    PageRow,
    add_ratios,
    draw_report,
)
from googlenet_keras.exporting.source import response_norms
from googlenet_keras.files import write_json
from googlenet_keras.processes import ProcessError

EXPORT_REPORT_FILE, CHART_FILE = "report.json", "formats.png"
FAILED_SUFFIX = ".failed"  # of a file that the parity check has refused

log = logging.getLogger(__name__)


class Bundle(NamedTuple):
    """The result of an export: the folder RUN/export and the content of report.json."""

    folder: Path
    report: ExportReport

    @property
    def passed(self) -> bool:
        """Whether every format and, if it was asked for, the page have passed."""
        rows = [*self.report["formats"].values(), self.report.get("web")]
        return all(row["passed"] for row in rows if row)


def make_formats(job: ExportJob) -> ExportReport:
    """Makes, checks and measures every format in job.folder; returns the report."""
    images, saved = job.images, job.source.folder
    log.info("running the network on %d validation images", images.split.count)
    measurement = images.measure(saved, "network", job.log)
    reference = Reference(images, measurement.probabilities)
    keras: FormatRow = {"megabytes": _megabytes(saved / WEIGHTS_FILE)}
    keras.update(parity.figures(measurement, images.labels))
    rows = {format.name: _make(format, job, reference) for format in job.formats}
    add_ratios(rows)
    return {
        "keras": keras,
        "formats": rows,
        "options": _options(job) | {"dataset": job.dataset.name},
        "missing": [] if has_mediapipe() else [MEDIAPIPE_MISSING_MESSAGE],
        "provenance": dict(job.classifier.provenance),
        "environment": machine.environment(),
    }


def write_report(job: ExportJob, report: ExportReport) -> None:
    """Writes labels.txt, report.json and formats.png into job.folder."""
    labels = Contents.of(job.classifier).to_texts()[LABELS_FILE]
    (job.folder / LABELS_FILE).write_text(labels, "utf-8")
    write_json(job.folder / EXPORT_REPORT_FILE, report)
    draw_report(report, job.folder / CHART_FILE)


def _make(format: Format, job: ExportJob, reference: Reference) -> FormatRow:
    """Makes and checks one format, logs the outcome and returns its row."""
    began, path = time.perf_counter(), job.folder / format.file
    row: FormatRow = {"file": format.file}
    try:
        with Console().status(f"{format.name}: converting"):
            job.convert(format.make, job.source, path)
        row["megabytes"] = _megabytes(path)
        if path.suffix == TFLITE_SUFFIX:
            norms = response_norms(job.classifier.architecture)
            row.update(inspect_tflite(path.read_bytes(), norms, format.is_integer))
        row.update(parity.compare(path, format, reference, job.log))
    except (ProcessError, ValueError) as error:
        row.update({"passed": False, "reason": str(error)})
    if not row["passed"] and path.exists():
        row["file"] += FAILED_SUFFIX
        path.rename(job.folder / row["file"])
    log_outcome(format.name, row, time.perf_counter() - began)
    return row


def log_outcome(name: str, row: FormatRow | PageRow, seconds: float) -> None:
    """Logs whether a format, or the page, has passed."""
    outcome = "passed" if row["passed"] else f"FAILED: {row['reason']}"
    log.info("%-12s %s in %.0f s", name, outcome, seconds)


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return round(sum(file.stat().st_size for file in files) / 1e6, 3)


def _options(job: ExportJob) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(job.config).items()
    }
