"""One export: every format made, proven equal, measured and reported."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from googlenet_keras import records
from googlenet_keras.architecture.rows import ResponseNorm
from googlenet_keras.classifier import DESCRIPTION, Classifier
from googlenet_keras.data.sources import open_run_dataset
from googlenet_keras.data.splits import Dataset
from googlenet_keras.evaluation.evaluate import class_numbers
from googlenet_keras.exported import LABELS
from googlenet_keras.exporting import calibration, parity
from googlenet_keras.exporting.chart import chart
from googlenet_keras.exporting.config import ExportConfig, finished_run
from googlenet_keras.exporting.conversion import (
    CALIBRATION,
    ROUNDED,
    ConversionError,
    Converter,
    Job,
    converter,
)
from googlenet_keras.exporting.formats import Format, chosen
from googlenet_keras.exporting.inspection import inspected
from googlenet_keras.exporting.measuring import ArtifactError, measured
from googlenet_keras.exporting.metadata import WITHOUT_MEDIAPIPE, has_writer
from googlenet_keras.exporting.quantization_aware import fine_tuned
from googlenet_keras.exporting.to_saved_model import to_static
from googlenet_keras.runtimes import TFLITE

REPORT, CHART, LOG, FAILED = "report.json", "formats.png", "export.log", ".failed"


def export(config: ExportConfig) -> tuple[Path, dict[str, Any]]:
    """Exports as `config` says; gives the folder of the bundle and its report.

    The folder RUN/export is replaced when everything is ready, not before. A format
    that fails the gate is in it with the suffix .failed. Raises UserError.
    """
    run = finished_run(config.run_folder)
    saved = run if (run / DESCRIPTION).is_file() else run / records.CLASSIFIER
    classifier = Classifier.load(run)
    formats = chosen(config.formats, classifier.architecture)
    dataset = open_run_dataset(
        run, config.dataset, data_dir=config.data_dir, download=config.download
    )
    numbers = class_numbers(classifier.labels, dataset.class_names)
    with _new_folder(run / records.EXPORT) as (folder, work):
        if any(kind.calibrated for kind in formats):
            _write_calibration(work, config, classifier, dataset)
        if config.qat_epochs and any(kind.name == "int8" for kind in formats):
            _write_rounded(work, config, classifier, dataset)
        layout = config.onnx_layout == "nchw"
        job = Job(saved.resolve(), work, layout, config.licence)
        reference = _reference(saved, classifier, dataset, numbers, folder)
        report = {"keras": parity.row(reference.answers, reference.labels)}
        report["formats"] = rows = {}
        with converter(job, folder / LOG) as make:
            for kind in formats:
                rows[kind.name] = _row(kind, make, classifier, reference, folder)
        report |= _circumstances(classifier) | {"qat_epochs": config.qat_epochs}
        (folder / LABELS).write_text("\n".join(classifier.labels) + "\n")
        records.write_json(folder / REPORT, report)
        chart(report, folder / CHART)
    return run / records.EXPORT, report


@contextmanager
def _new_folder(path: Path) -> Iterator[tuple[Path, Path]]:
    """A folder that becomes `path` at the end of the block, and one that vanishes."""
    new, work, old = (
        path.with_name(f"{path.name}.{os.getpid()}.{kind}.tmp")
        for kind in ("new", "work", "old")
    )
    try:
        with records.disk_errors(path):
            new.mkdir()
            work.mkdir()
        yield new, work
        if path.exists():
            path.rename(old)
        new.rename(path)
    finally:
        for folder in (new, work, old):
            shutil.rmtree(folder, ignore_errors=True)


def _write_calibration(
    work: Path, config: ExportConfig, classifier: Classifier, dataset: Dataset
) -> None:
    classes = len(dataset.class_names)
    images = calibration.calibration_images(
        dataset.train,
        classifier.preprocessing,
        config.calibration_images or max(calibration.DEFAULT, classes),
        classes,
    )
    np.save(work / CALIBRATION, images)


def _write_rounded(
    work: Path, config: ExportConfig, classifier: Classifier, dataset: Dataset
) -> None:
    print(f"training for int8, {config.qat_epochs} epochs", flush=True)
    network = fine_tuned(classifier, dataset, config.qat_epochs)
    to_static(network, work / ROUNDED)


def _reference(
    saved: Path,
    classifier: Classifier,
    dataset: Dataset,
    numbers: np.ndarray,
    folder: Path,
) -> parity.Reference:
    split = dataset.validation
    print(f"running the network on {split.count} validation images", flush=True)
    labels = numbers[[int(label) for _, label, _ in split.in_order()]]
    images = parity.batches(split, classifier.preprocessing, "network: running")
    return parity.Reference(split, labels, measured(saved, images, folder / LOG))


def _row(
    kind: Format,
    make: Converter,
    classifier: Classifier,
    reference: parity.Reference,
    folder: Path,
) -> dict[str, Any]:
    """One format's row; prints a line when it is judged."""
    began, path = time.perf_counter(), folder / kind.file
    row: dict[str, Any] = {"file": kind.file}
    try:
        with Console().status(f"{kind.name}: converting"):
            make.convert(kind.name, path)
        row |= {"megabytes": _megabytes(path), **_contents(path, kind, classifier)}
        row |= parity.compared(path, kind, classifier, reference, folder / LOG)
    except (ConversionError, ArtifactError, ValueError) as error:
        row |= {"passed": False, "reason": str(error)}
    if not row["passed"] and path.exists():
        row["file"] += FAILED
        path.rename(folder / row["file"])
    outcome = "passed" if row["passed"] else f"FAILED: {row['reason']}"
    seconds = time.perf_counter() - began
    print(f"{kind.name:<12} {outcome} in {seconds:.0f} s", flush=True)
    return row


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return round(sum(file.stat().st_size for file in files) / 1e6, 3)


def _contents(path: Path, kind: Format, classifier: Classifier) -> dict[str, Any]:
    """What is inside a TFLite file; nothing of the others."""
    if path.suffix != TFLITE:
        return {}
    rows = classifier.architecture.rows
    norms = [row.name for row in rows if isinstance(row, ResponseNorm)]
    return inspected(path.read_bytes(), norms, quantised=kind.name == "int8")


def _circumstances(classifier: Classifier) -> dict[str, Any]:
    return {
        "missing": [] if has_writer() else [WITHOUT_MEDIAPIPE],
        "provenance": dict(classifier.provenance),
        "environment": records.environment(),
    }
