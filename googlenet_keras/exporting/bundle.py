"""One export: every format made, proven equal, measured and reported."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from googlenet_keras import machine
from googlenet_keras.artifacts.artifact import LABELS, texts
from googlenet_keras.artifacts.runtimes import TFLITE
from googlenet_keras.artifacts.tflite_metadata import (
    WITHOUT_MEDIAPIPE,
    has_writer,
)
from googlenet_keras.classifier import DESCRIPTION_FILE, WEIGHTS_FILE, Classifier
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.evaluation.evaluate import class_numbers
from googlenet_keras.evaluation.run_dataset import open_run_dataset
from googlenet_keras.exporting import calibration, parity
from googlenet_keras.exporting.chart import chart
from googlenet_keras.exporting.config import ExportConfig, finished_run
from googlenet_keras.exporting.conversion import (
    CALIBRATION,
    ROUNDED,
    Job,
    convert,
)
from googlenet_keras.exporting.formats import (
    WEB,
    Format,
    chosen,
    response_norms,
)
from googlenet_keras.exporting.inspection import inspected
from googlenet_keras.exporting.measuring import ArtifactError, measured
from googlenet_keras.exporting.to_saved_model import to_static
from googlenet_keras.files import disk_errors, write_json
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.quantization_aware import fine_tuned
from googlenet_keras.webpage.builder import build_page, check_builder
from googlenet_keras.webpage.page import web_row

REPORT, CHART, LOG, FAILED = "report.json", "formats.png", "export.log", ".failed"


def export(config: ExportConfig) -> tuple[Path, dict[str, Any]]:
    """Exports as `config` says; gives the folder of the bundle and its report.

    The folder RUN/export is replaced when everything is ready, not before. A format
    that fails the gate is in it with the suffix .failed. Raises UserError.
    """
    run = finished_run(config.run_folder)
    saved = run if (run / DESCRIPTION_FILE).is_file() else RunFolder(run).classifier
    classifier = Classifier.load(run)
    texts(classifier)  # raises for labels that no file can hold, before any work
    formats = chosen(config.formats, classifier.architecture)
    if config.web:
        check_builder()
    dataset = open_run_dataset(
        RunFolder(run),
        config.dataset,
        data_dir=config.data_dir,
        download=config.download,
    )
    numbers = class_numbers(classifier.labels, dataset.class_names)
    with _new_folder(RunFolder(run).export) as (folder, work):
        if config.web:
            build_page(folder / WEB, folder / LOG)
        if any(kind.calibrated for kind in formats):
            _write_calibration(work, config, classifier, dataset)
        if config.qat_epochs and any(kind.name == "int8" for kind in formats):
            print(f"training for int8, {config.qat_epochs} epochs", flush=True)
            rounded = fine_tuned(classifier, dataset, numbers, config.qat_epochs)
            to_static(rounded, work / ROUNDED)
        layout = config.onnx_layout == "nchw"
        job = Job(saved.resolve(), work, layout, config.licence)
        reference = _reference(saved, classifier, dataset, numbers, folder)
        keras = parity.row(reference.answers, reference.labels)
        report = {"keras": {"megabytes": _megabytes(saved / WEIGHTS_FILE), **keras}}
        report["formats"] = rows = {}
        with child_process(folder / LOG) as call:
            for kind in formats:
                make = partial(call, convert, job, kind.name)
                rows[kind.name] = _row(kind, make, classifier, reference, folder)
            if config.web:
                again = call if config.activation_map else None
                report[WEB] = web_row(folder, job, rows, classifier, reference, again)
        _add_ratios(rows)
        report |= _circumstances(config, classifier, dataset)
        (folder / LABELS).write_text(texts(classifier)[LABELS], "utf-8")
        write_json(folder / REPORT, report)
        chart(report, folder / CHART)
    return RunFolder(run).export, report


@contextmanager
def _new_folder(path: Path) -> Iterator[tuple[Path, Path]]:
    """A folder that becomes `path` at the end of the block, and one that vanishes."""
    new, work, old = (
        path.with_name(f"{path.name}.{os.getpid()}.{kind}.tmp")
        for kind in ("new", "work", "old")
    )
    _sweep(path)
    try:
        with disk_errors(path):
            new.mkdir()
            work.mkdir()
        yield new, work
        if path.exists():
            path.rename(old)
        new.rename(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        for folder in (new, work, old):
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(path: Path) -> None:
    """Puts right what exports that were killed have left beside `path`.

    Where the system does not tell which processes live, nothing is touched.
    """
    processes = Path("/proc")
    for left in path.parent.glob(f"{path.name}.*.tmp"):
        _, process, kind, _ = left.name.split(".")
        if not (processes / "self").exists() or (processes / process).exists():
            continue
        if kind == "old" and not path.exists():
            left.rename(path)
        else:
            shutil.rmtree(left, ignore_errors=True)


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


def _reference(
    saved: Path,
    classifier: Classifier,
    dataset: Dataset,
    numbers: np.ndarray,
    folder: Path,
) -> parity.Reference:
    split, geometry = dataset.validation, classifier.preprocessing
    print(f"running the network on {split.count} validation images", flush=True)
    labels = numbers[[int(label) for _, label, _ in split.in_order()]]
    images = parity.batches(split, classifier.preprocessing, "network: running")
    size = (geometry.height, geometry.width)
    return parity.Reference(split, labels, measured(saved, size, images, folder / LOG))


def _row(
    kind: Format,
    make: Callable[[Path], None],
    classifier: Classifier,
    reference: parity.Reference,
    folder: Path,
) -> dict[str, Any]:
    """One format's row; prints a line when it is judged."""
    began, path = time.perf_counter(), folder / kind.file
    row: dict[str, Any] = {"file": kind.file}
    try:
        with Console().status(f"{kind.name}: converting"):
            make(path)
        row |= {"megabytes": _megabytes(path), **_contents(path, kind, classifier)}
        row |= parity.compared(path, kind, classifier, reference, folder / LOG)
    except (ProcessError, ArtifactError, ValueError) as error:
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
    norms = response_norms(classifier.architecture)
    return inspected(path.read_bytes(), norms, quantised=kind.name == "int8")


def _add_ratios(rows: dict[str, Any]) -> None:
    """Each row's size and time on one thread as parts of the float32 file's."""
    base = rows.get("float32", {})
    for row in rows.values() if "milliseconds" in base else ():
        if "milliseconds" in row:
            own, exact = (r["milliseconds"]["1"]["median"] for r in (row, base))
            row["ratio_to_float32"] = {
                "megabytes": round(row["megabytes"] / base["megabytes"], 4),
                "milliseconds": round(own / exact, 4),
            }


def _circumstances(
    config: ExportConfig, classifier: Classifier, dataset: Dataset
) -> dict[str, Any]:
    options = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(config).items()
    }
    return {
        "options": options | {"dataset": dataset.name},
        "missing": [] if has_writer() else [WITHOUT_MEDIAPIPE],
        "provenance": dict(classifier.provenance),
        "environment": machine.environment(),
    }
