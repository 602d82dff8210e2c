"""An export job: the run, formats, data and folder of one export."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tensorflow as tf

from googlenet_keras.artifacts.artifact import Contents
from googlenet_keras.classifier import Classifier, description_file
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.data.pipeline import explain_unreadable
from googlenet_keras.data.preprocessing import Preprocessing, to_uint8
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.evaluate import class_numbers, open_run_dataset
from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.exporting.converters import CALIBRATION_FILE, Source
from googlenet_keras.exporting.formats import Format, select_formats
from googlenet_keras.exporting.measuring import Images
from googlenet_keras.exporting.whole_photos import (
    choose_geometry,
    whole_photo_preprocessing,
)
from googlenet_keras.files import atomic_folder
from googlenet_keras.processes import Call, child_process
from googlenet_keras.run_folder import RunFolder

EXPORT_LOG_FILE = "export.log"
MIN_RECOMMENDED_CALIBRATION_IMAGES = 100  # fewer leave ranges to chance
DEFAULT_CALIBRATION_IMAGES = 256
ASPECT_PIXELS = 10_000  # height of a photograph that stands for an aspect ratio

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportJob:
    """Everything that decides an export, each part resolved once, on first use.

    folder: the bundle while it is written. convert: calls a function in the process
    that converts. A property raises UserError if it cannot be resolved.
    """

    config: ExportConfig
    run: RunFolder
    source: Source
    folder: Path
    convert: Call

    @property
    def log(self) -> Path:
        """The log file for the output of converters and runtimes."""
        return self.folder / EXPORT_LOG_FILE

    @cached_property
    def classifier(self) -> Classifier:
        return Classifier.load(self.source.folder)

    @cached_property
    def formats(self) -> list[Format]:
        return select_formats(self.config.formats, self.classifier.architecture)

    @cached_property
    def dataset(self) -> Dataset:
        """The run's data, or the data that the options name."""
        config = self.config
        return open_run_dataset(
            self.run, config.dataset, data_dir=config.data_dir, download=config.download
        )

    @cached_property
    def class_numbers(self) -> np.ndarray:
        """The classifier's class number for each class of the data set."""
        return class_numbers(self.classifier.labels, self.dataset.class_names)

    @cached_property
    def images(self) -> Images:
        """The images on which exported files are checked: the validation split."""
        contents, split = Contents.of(self.classifier), self.dataset.validation
        labels = [int(label) for _, label, _ in split.in_order()]
        return Images(split, self.class_numbers[labels], contents)

    @cached_property
    def whole_photos(self) -> Preprocessing:
        """The geometry of a file that takes whole photographs."""
        if not (aspect := self.config.phone_aspect):
            validation = self.dataset.validation
            return choose_geometry(self.classifier, validation, self.class_numbers)
        shapes = np.array([[ASPECT_PIXELS, round(ASPECT_PIXELS * aspect)]], np.int32)
        return whole_photo_preprocessing(self.classifier.preprocessing, shapes)

    def source_of(self, format: Format) -> Source:
        """The Source from which a format is converted."""
        if not format.takes_whole_photos:
            return self.source
        return replace(self.source, whole_photos=self.whole_photos)

    def images_of(self, format: Format) -> Images:
        """The images on which a format is checked, with its own geometry."""
        if not format.takes_whole_photos:
            return self.images
        contents = replace(self.images.contents, preprocessing=self.whole_photos)
        return replace(self.images, contents=contents)


@contextmanager
def open_job(config: ExportConfig) -> Iterator[ExportJob]:
    """Yields the job; what it has written in job.folder becomes RUN/export at the end.

    If the block fails, RUN/export stays as it was. Raises UserError.
    """
    run = config.find_run()
    saved = description_file(run.path).parent.resolve()
    with (
        atomic_folder(run.export, replace=True) as folder,
        TemporaryDirectory(dir=folder, prefix="work.") as work,
        child_process(folder / EXPORT_LOG_FILE) as convert,
    ):
        channels_first = config.onnx_layout == "nchw"
        source = Source(saved, Path(work), channels_first, config.license)
        job = ExportJob(config, run, source, folder, convert)
        _ = job.formats, job.images  # fail before any conversion
        if any(format.is_calibrated for format in job.formats):
            geometry, count = job.classifier.preprocessing, config.calibration_images
            images = calibration_images(job.dataset, geometry, count)
            np.save(source.work / CALIBRATION_FILE, images)
        yield job


def calibration_images(
    dataset: Dataset, preprocessing: Preprocessing, count: int | None = None
) -> np.ndarray:
    """Selects training images, balanced by class: [n, height, width, 3] uint8.

    n is `count` (default: 256, or 1 per class if that is more), or all images that
    there are. Raises UserError for fewer than one of each class; warns below 100.
    """
    split, classes = dataset.train, len(dataset.class_names)
    count = count or max(DEFAULT_CALIBRATION_IMAGES, classes)
    if count < classes:
        raise UserError(
            f"calibration_images must be at least 1 for each of the {classes} classes; "
            f"received {count}."
        )
    quota = count // classes
    per_class: Counter[int] = Counter()
    balanced: list[tf.Tensor] = []  # references
    others: list[tf.Tensor] = []
    for _, label, reference in split.shuffled(seed=0, epoch=0):
        per_class[int(label)] += 1
        if per_class[int(label)] <= quota:
            balanced.append(reference)
        elif len(others) < count:
            others.append(reference)
        if len(balanced) == quota * classes and len(balanced + others) >= count:
            break
    references = (balanced + others)[:count]
    if len(references) < MIN_RECOMMENDED_CALIBRATION_IMAGES:
        log.warning(
            f"{len(references)} calibration images leave ranges to chance; "
            f"{MIN_RECOMMENDED_CALIBRATION_IMAGES} or more are better"
        )
    images = (preprocessing.read(split.load(reference)) for reference in references)
    with explain_unreadable(split):
        return np.stack([to_uint8(image).numpy() for image in images])
