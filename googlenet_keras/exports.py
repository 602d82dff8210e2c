"""Exports a run: checked files for phones and servers, a web page, and apps."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import keras
import numpy as np
from rich.console import Console

from googlenet_keras import machine
from googlenet_keras.apps.projects import add_app, apps_in
from googlenet_keras.artifacts.artifact import LABELS_FILE, SMALLEST_PROBABILITY
from googlenet_keras.artifacts.mediapipe_metadata import MEDIAPIPE_MISSING_MESSAGE
from googlenet_keras.artifacts.runtimes import TFLITE_SUFFIX
from googlenet_keras.artifacts.tensors import PROBABILITIES_OUTPUT
from googlenet_keras.calibration import Calibration
from googlenet_keras.classifier import WEIGHTS_FILE, description_file
from googlenet_keras.data.pipeline import explain_unreadable
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.calibration import fit_calibration
from googlenet_keras.exporting import converters, measuring, parity, report
from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.exporting.converters import Source
from googlenet_keras.exporting.formats import (
    FORMATS,
    WEB_FORMAT,
    Format,
    check_libraries,
)
from googlenet_keras.exporting.inspection import inspect_tflite
from googlenet_keras.exporting.job import ExportJob, open_job
from googlenet_keras.exporting.layer_errors import worst_layers
from googlenet_keras.exporting.npu import NpuTarget, compile_for_npu
from googlenet_keras.exporting.report import ExportReport, FormatRow, NpuRow
from googlenet_keras.exporting.selftest import add_self_test
from googlenet_keras.exporting.whole_photos import take_whole_photos
from googlenet_keras.files import atomic_folder, read_json, write_json
from googlenet_keras.installation import is_installed
from googlenet_keras.processes import ProcessError
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.webpage.builder import build_page, check_builder
from googlenet_keras.webpage.page import add_page

if TYPE_CHECKING:
    from googlenet_keras.runs import Run

Exportable: TypeAlias = "ExportConfig | Run | RunFolder | Path | str | None"
EXPORT_REPORT_FILE, CHART_FILE = "report.json", "formats.png"
FAILED_SUFFIX = ".failed"  # of a file that the parity check has refused

log = logging.getLogger(__name__)


class Bundle(NamedTuple):
    """The result of an export: the folder RUN/export and the content of report.json."""

    folder: Path
    report: ExportReport

    @property
    def passed(self) -> bool:
        """Whether every format has passed, and the page and apps if there are any."""
        files, page = self.report["formats"].values(), self.report.get("web")
        compiled = [npu for row in files for npu in row.get("npu", {}).values()]
        rows = [*files, *self.report.get("apps", {}).values(), *filter(None, [page])]
        has_all_npu = not any(npu["reason"] for npu in compiled)
        return all(row["passed"] for row in rows) and has_all_npu


def export(run: Exportable = None, **options: Any) -> Bundle:
    """Exports a run, or a folder with a saved classifier, to RUN/export.

    run: None for the newest finished run in runs/. options: of ExportConfig, by name.
    The folder RUN/export is replaced when everything is ready, not before. A format
    that fails its check is in it with the suffix .failed. Apps alone are added to the
    bundle that is there, if that has their files. Raises UserError.
    """
    config = to_config(run, **options)
    if _has_files_of_apps(config):
        return _complete_bundle(config)
    check_libraries(config.formats)
    for target in config.npu_targets:
        target.check()
    has_page = WEB_FORMAT.name in config.formats
    if has_page:
        check_builder()
    with open_job(config) as job:
        if has_page:
            build_page(job.folder / WEB_FORMAT.name, job.log)
        if config.qat_epochs and any(format.is_integer for format in job.formats):
            _train_for_int8(job)
        content = _make_formats(job)
        add_self_test(job, content["formats"])
        if has_page:
            content["web"] = add_page(job, content["formats"])
        _add_apps(config, content, job.folder)
        labels = job.images.contents.to_texts()[LABELS_FILE]
        (job.folder / LABELS_FILE).write_text(labels, "utf-8")
        write_json(job.folder / EXPORT_REPORT_FILE, content)
        report.draw_report(content, job.folder / CHART_FILE)
    return Bundle(job.run.export, content)


def to_config(run: Exportable, **options: Any) -> ExportConfig:
    """The ExportConfig of `run`; `options` replace its own."""
    if isinstance(run, ExportConfig):
        return replace(run, **options)
    folder = getattr(run, "folder", run)  # of a Run
    return ExportConfig(run_folder=Path(str(folder)) if folder else None, **options)


def _has_files_of_apps(config: ExportConfig) -> bool:
    """Whether only apps are asked for, and an earlier export has made their files.

    These must have passed, and be no older than the network's weights.
    """
    apps = apps_in(config.formats)
    plain = ExportConfig(run_folder=config.run_folder, formats=config.formats)
    if not apps or len(apps) < len(config.formats) or config != plain:
        return False
    run = config.find_run()
    report_file = run.export / EXPORT_REPORT_FILE
    if not report_file.is_file():
        return False
    weights = description_file(run.path).with_name(WEIGHTS_FILE).stat().st_mtime
    rows: dict[str, FormatRow] = read_json(report_file)["formats"]
    return all(
        rows.get(name, {}).get("passed")
        and (run.export / FORMATS[name].file).is_file()
        and (run.export / FORMATS[name].file).stat().st_mtime >= weights
        for app in apps
        for name in app.runs
    )


def _complete_bundle(config: ExportConfig) -> Bundle:
    """Adds apps to the bundle of an earlier export, whose other files stay."""
    run = config.find_run()
    with atomic_folder(run.export, replace=True) as folder:
        ignored = shutil.ignore_patterns(*config.formats)
        shutil.copytree(run.export, folder, ignore=ignored, dirs_exist_ok=True)
        content: ExportReport = read_json(folder / EXPORT_REPORT_FILE)
        _add_apps(config, content, folder)
        write_json(folder / EXPORT_REPORT_FILE, content)
    return Bundle(run.export, content)


def _add_apps(config: ExportConfig, content: ExportReport, folder: Path) -> None:
    """Adds the apps among the formats to the bundle in `folder` and to its report."""
    for app in apps_in(config.formats):
        row = add_app(folder, content["formats"], app)
        content.setdefault("apps", {})[app.name] = row


def _train_for_int8(job: ExportJob) -> None:
    """Fine-tunes with quantization-aware training, and saves the network for int8."""
    from googlenet_keras.training import quantization_aware

    epochs, calibration = job.config.qat_epochs, job.classifier.calibration
    if calibration and calibration.refuse_below is not None:
        raise UserError(
            "quantization-aware training has no pictures of --none, and would unlearn "
            "what it refuses; leave qat_epochs out."
        )
    log.info("training for int8, %d epochs", epochs)
    with explain_unreadable(job.dataset.train):
        network = quantization_aware.train_quantization_aware(
            job.classifier, job.dataset, job.class_numbers, epochs
        )
    if calibration:  # which the training has changed
        calibration = _fit_again(network, job)
        quantization_aware.divide_logits(network, calibration.temperature)
        write_json(job.source.qat_calibration, calibration.to_json())
    for format in filter(lambda x: x.is_integer, job.formats):
        source = job.source_of(format)
        _, folder = source.model_folders
        converters.save_static(_with_file_input(network, source), folder)


def _with_file_input(network: keras.Model, source: Source) -> keras.Model:
    """Gives the trained network the input that its file has."""
    from googlenet_keras.training.quantization_aware import IntegerPixels

    if not source.whole_photos:
        return network
    return take_whole_photos(network, source.whole_photos, IntegerPixels())


def _fit_again(network: keras.Model, job: ExportJob) -> Calibration:
    """The calibration of a network that gives probabilities, by validation images."""
    found = [network.predict_on_batch(x) for x in job.images.batches("calibrating")]
    probabilities = np.concatenate([x[PROBABILITIES_OUTPUT] for x in found])
    logs = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    return fit_calibration(logs, job.images.labels)


def _make_formats(job: ExportJob) -> ExportReport:
    """Makes, checks and measures every format in job.folder; returns the report."""
    images, saved = job.images, job.source.folder
    log.info("running the network on %d validation images", images.split.count)
    network = images.measure(saved, "network", job.log)
    desk: FormatRow = {"megabytes": report.megabytes(saved / WEIGHTS_FILE)}
    desk.update(network.row)
    rows = {f.name: _make(f, job, network.probabilities) for f in job.formats}
    report.add_ratios(rows, _time_ratios(rows, job))
    options = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(job.config).items()
    }
    return {
        "keras": desk,
        "formats": rows,
        "options": options | {"dataset": job.dataset.name},
        "missing": [] if is_installed("mediapipe") else [MEDIAPIPE_MISSING_MESSAGE],
        "provenance": dict(job.classifier.provenance),
        "environment": machine.environment(),
    }


def _time_ratios(rows: Mapping[str, FormatRow], job: ExportJob) -> dict[str, float]:
    """Each passed format's time as a multiple of float32's, if that has passed."""
    paths = {
        name: job.folder / row["file"]
        for name, row in rows.items()
        if row["passed"] and "milliseconds" in row
    }
    if "float32" not in paths:
        return {}
    with Console().status("timing in turns with float32"):
        return measuring.time_ratios(paths["float32"], paths, job.log)


def _compile(job: ExportJob, path: Path, target: NpuTarget) -> NpuRow:
    """Compiles a file for an NPU, or says why not, in the log and in the row."""
    try:
        row: NpuRow = job.convert(compile_for_npu, path, target)
    except ProcessError as error:
        log.warning(f"{path.name} cannot be compiled for {target}: {error}")
        return {"reason": str(error)}
    on_npu, every = row["operators_on_npu"], row["operators"]
    log.info("%-12s %d of %d operators on the NPU", row["file"], on_npu, every)
    return row


def _explain_loss(
    job: ExportJob, format: Format, path: Path, reason: str | None
) -> FormatRow:
    """The layers that lose most in an int8 file, and the way out with its cost."""
    try:
        layers = job.convert(worst_layers, job.source_of(format), path)
    except ProcessError as error:
        log.warning(f"the layers that lose most are not known: {error}")
        return {}
    named = ", ".join(f"{name} ({error:.0%})" for name, error in layers.items())
    epochs = job.run.read_epochs() if job.run.metrics.exists() else []
    seconds = f", here {median(e['seconds'] for e in epochs):.0f} s" if epochs else ""
    advice = (
        f"most of their signal lose {named}; --qat-epochs 3 trains the network with "
        f"int8's rounding, an epoch in about the time of one of its training{seconds}"
    )
    return {"worst_layers": layers, "reason": f"{reason}; {advice}"}


def _make(format: Format, job: ExportJob, expected: np.ndarray) -> FormatRow:
    """Makes and checks one format, logs the outcome and returns its row.

    expected: the network's probabilities, [images, classes].
    """
    row, path = FormatRow(file=format.file), job.folder / format.file
    with report.outcome(format.name, row):
        with Console().status(f"{format.name}: converting"):
            job.convert(format.make, job.source_of(format), path)
        row["megabytes"] = report.megabytes(path)
        if path.suffix == TFLITE_SUFFIX:
            norms = converters.response_norms(job.classifier.architecture)
            row.update(inspect_tflite(path.read_bytes(), norms, format.is_integer))
        row["min_runtime"] = format.min_runtime(path)
        images = job.images_of(format)
        if format.takes_whole_photos:
            height, width = images.contents.preprocessing.size
            row["photo_aspect"] = round(width / height, 3)
        row.update(parity.compare(path, format, images, expected, job.log))
        if format.is_integer and not (row["passed"] or job.config.qat_epochs):
            row.update(_explain_loss(job, format, path, row["reason"]))
    if row["passed"] and format.is_integer and job.config.npu:
        row["npu"] = {str(x): _compile(job, path, x) for x in job.config.npu_targets}
    if not row["passed"] and path.exists():
        row["file"] += FAILED_SUFFIX
        path.rename(job.folder / row["file"])
    return row
