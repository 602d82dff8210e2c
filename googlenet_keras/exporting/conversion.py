"""Conversions in a process of their own: converters print, leak and may crash."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

CALIBRATION, ROUNDED = "calibration.npy", "rounded"


@dataclass(frozen=True)
class Job:
    """What every conversion of one export shares.

    classifier: a folder that one was saved to. work: a folder for what is made on the
    way, with calibration.npy if a format needs it, and with a SavedModel, "rounded", if
    int8 was trained for.
    """

    classifier: Path
    work: Path
    channels_first: bool
    licence: str


class ConversionError(Exception):
    """A format that the converter could not make."""


class Converter:
    """Makes one format after the other in a process that it starts again if it dies."""

    def __init__(self, job: Job, log: Path) -> None:
        self._job, self._log = job, log
        self._pool = self._started()

    def convert(self, name: str, path: Path) -> None:
        """Writes the format `name` to `path`. Raises ConversionError."""
        try:
            self._pool.submit(_convert, self._job, name, path).result()
        except BrokenProcessPool as error:
            self._pool = self._started()
            raise ConversionError("its converter's process died") from error
        except Exception as error:  # converters raise what they like
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ConversionError(lines[0]) from error

    def close(self) -> None:
        """Ends the process."""
        self._pool.shutdown()

    def _started(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1,
            multiprocessing.get_context("spawn"),
            initializer=redirect,
            initargs=(self._log,),
        )


@contextmanager
def converter(job: Job, log: Path) -> Iterator[Converter]:
    """A Converter for the block; log: the file that takes what converters print."""
    made = Converter(job, log)
    try:
        yield made
    finally:
        made.close()


def redirect(log: Path) -> None:
    """Sends this process's output and errors to `log`."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)


def _convert(job: Job, name: str, path: Path) -> None:
    from googlenet_keras.exporting.to_onnx import to_onnx
    from googlenet_keras.exporting.to_saved_model import to_saved_model

    classifier, network = _loaded(job.classifier)
    if name == "saved_model":
        to_saved_model(network, classifier, path)
    elif name == "onnx":
        to_onnx(network, classifier, path, job.channels_first)
    else:
        path.write_bytes(_tflite(job, name))


@cache
def _loaded(folder: Path):
    from googlenet_keras.classifier import Classifier
    from googlenet_keras.exporting.deployable import deployable
    from googlenet_keras.runtimes import processor_alone

    processor_alone()
    classifier = Classifier.load(folder)
    return classifier, deployable(classifier)


def _tflite(job: Job, name: str) -> bytes:
    from googlenet_keras.exporting.formats import response_norms
    from googlenet_keras.exporting.metadata import card, with_metadata
    from googlenet_keras.exporting.to_saved_model import to_static
    from googlenet_keras.exporting.to_tflite import rounded_to_int8, to_tflite

    classifier, network = _loaded(job.classifier)
    static = job.work / "static"
    if not static.exists():
        to_static(network, job.work / "unfinished")
        (job.work / "unfinished").rename(static)
    images = job.work / CALIBRATION
    norms = response_norms(classifier.architecture)
    rounded = job.work / ROUNDED
    if name == "int8" and rounded.exists():
        data = rounded_to_int8(rounded)
    else:
        calibration = np.load(images) if images.exists() else np.empty(0)
        data = to_tflite(static, name, calibration, norms)
    return with_metadata(data, classifier, card(classifier, job.licence))
