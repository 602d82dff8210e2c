"""One format of one export; converters print, leak and may crash."""

from __future__ import annotations

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


def convert(job: Job, name: str, path: Path) -> None:
    """Writes the format `name` to `path`; the last classifier is kept for the next."""
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
