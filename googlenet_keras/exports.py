"""Exports a run: checked files for phones and servers, and a web page."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from googlenet_keras.exporting.bundle import Bundle, make_formats, write_report
from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.exporting.formats import WEB_FORMAT
from googlenet_keras.exporting.job import ExportJob, open_job
from googlenet_keras.exporting.source import QAT_MODEL_FOLDER
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.webpage.builder import build_page, check_builder
from googlenet_keras.webpage.page import add_page

if TYPE_CHECKING:
    from googlenet_keras.runs import Run

Exportable: TypeAlias = "ExportConfig | Run | RunFolder | Path | str | None"

log = logging.getLogger(__name__)


def export(run: Exportable = None, **options: Any) -> Bundle:
    """Exports a run, or a folder with a saved classifier, to RUN/export.

    run: None for the newest finished run in runs/. options: of ExportConfig, by name.
    The folder RUN/export is replaced when everything is ready, not before. A format
    that fails its check is in it with the suffix .failed. Raises UserError.
    """
    config = to_config(run, **options)
    if config.web:
        check_builder()
    with open_job(config) as job:
        if config.web:
            build_page(job.folder / WEB_FORMAT, job.log)
        if job.trains_for_int8:
            _train_for_int8(job)
        report = make_formats(job)
        if config.web:
            report["web"] = add_page(job, report["formats"])
        write_report(job, report)
    return Bundle(job.run.export, report)


def to_config(run: Exportable, **options: Any) -> ExportConfig:
    """The ExportConfig of `run`; `options` replace its own."""
    if isinstance(run, ExportConfig):
        return replace(run, **options)
    if run is not None and not isinstance(run, RunFolder | Path | str):
        run = run.folder
    return ExportConfig(run_folder=Path(str(run)) if run else None, **options)


def _train_for_int8(job: ExportJob) -> None:
    """Fine-tunes with quantization-aware training, and saves the network for int8."""
    from googlenet_keras.exporting.to_saved_model import save_static
    from googlenet_keras.training.quantization_aware import train_quantization_aware

    epochs = job.config.qat_epochs
    log.info("training for int8, %d epochs", epochs)
    network = train_quantization_aware(
        job.classifier, job.dataset, job.class_numbers, epochs
    )
    save_static(network, job.source.work / QAT_MODEL_FOLDER)
