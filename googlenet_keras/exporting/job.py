"""An export job: the run, formats, data and folder of one export, resolved once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from googlenet_keras.artifacts.contents import Contents
from googlenet_keras.classifier import Classifier, description_file
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.evaluation.evaluate import class_numbers, open_run_dataset
from googlenet_keras.exporting.calibration import calibration_images
from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.exporting.formats import Format, select_formats
from googlenet_keras.exporting.parity import Images
from googlenet_keras.exporting.source import CALIBRATION_FILE, Source
from googlenet_keras.files import atomic_folder
from googlenet_keras.processes import Call, child_process
from googlenet_keras.run_folder import RunFolder

EXPORT_LOG_FILE = "export.log"


@dataclass(frozen=True)
class ExportJob:
    """Everything that decides an export, resolved once.

    class_numbers: the classifier's class number for each of the data set's. folder:
    the bundle while it is written. convert: calls a function in the process that
    converts.
    """

    config: ExportConfig
    run: RunFolder
    classifier: Classifier
    formats: list[Format]
    dataset: Dataset
    class_numbers: np.ndarray
    source: Source
    folder: Path
    convert: Call

    @property
    def log(self) -> Path:
        """The log file for the output of converters and runtimes."""
        return self.folder / EXPORT_LOG_FILE

    @cached_property
    def images(self) -> Images:
        """The images that files are checked on: the validation split."""
        split = self.dataset.validation
        labels = [int(label) for _, label, _ in split.in_order()]
        contents = Contents.of(self.classifier)
        return Images(split, self.class_numbers[labels], contents)

    @property
    def trains_for_int8(self) -> bool:
        """Whether quantization-aware training comes first."""
        return bool(self.config.qat_epochs) and any(f.is_integer for f in self.formats)


@contextmanager
def open_job(config: ExportConfig) -> Iterator[ExportJob]:
    """Yields the job; what it has written in job.folder becomes RUN/export at the end.

    If the block fails, RUN/export stays as it was. Raises UserError.
    """
    run = config.find_run()
    saved = description_file(run.path).parent
    classifier = Classifier.load(saved)
    Contents.of(classifier)  # raises for labels that no file can hold, before any work
    formats = select_formats(config.formats, classifier.architecture)
    dataset = open_run_dataset(
        run, config.dataset, data_dir=config.data_dir, download=config.download
    )
    numbers = class_numbers(classifier.labels, dataset.class_names)
    with (
        atomic_folder(run.export, replace=True) as folder,
        TemporaryDirectory(dir=folder, prefix="work.") as work,
        child_process(folder / EXPORT_LOG_FILE) as convert,
    ):
        source = Source(
            saved.resolve(), Path(work), config.onnx_layout == "nchw", config.licence
        )
        job = ExportJob(
            config, run, classifier, formats, dataset, numbers, source, folder, convert
        )
        _write_calibration_images(job)
        yield job


def _write_calibration_images(job: ExportJob) -> None:
    if any(format.is_calibrated for format in job.formats):
        images = calibration_images(
            job.dataset.train,
            job.classifier.preprocessing,
            len(job.dataset.class_names),
            job.config.calibration_images,
        )
        np.save(job.source.work / CALIBRATION_FILE, images)
