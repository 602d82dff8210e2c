"""One format of one export; converters print, leak and may crash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

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
    licence: str | None


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


def convert_explained(job: Job, name: str, path: Path) -> None:
    """Writes the TFLite format `name` with the further output activation_map."""
    from googlenet_keras.artifacts.tflite_metadata import with_texts
    from googlenet_keras.network.activation_map import add_activation_map

    classifier, network = _loaded(job.classifier)
    static = _static(job, "explained", lambda: add_activation_map(network))
    path.write_bytes(with_texts(_converted(job, name, static), classifier))


@cache
def _loaded(folder: Path):
    from googlenet_keras.artifacts.deployable import deployable
    from googlenet_keras.artifacts.runtimes import processor_alone
    from googlenet_keras.classifier import Classifier

    processor_alone()
    classifier = Classifier.load(folder)
    return classifier, deployable(classifier)


def _tflite(job: Job, name: str) -> bytes:
    from googlenet_keras.artifacts.tflite_metadata import card, with_metadata
    from googlenet_keras.exporting.to_tflite import rounded_to_int8

    classifier, network = _loaded(job.classifier)
    rounded = job.work / ROUNDED
    if name == "int8" and rounded.exists():
        data = rounded_to_int8(rounded)
    else:
        data = _converted(job, name, _static(job, "static", lambda: network))
    return with_metadata(data, classifier, card(classifier, job.licence))


def _converted(job: Job, name: str, static: Path) -> bytes:
    from googlenet_keras.exporting.formats import response_norms
    from googlenet_keras.exporting.to_tflite import to_tflite

    classifier, _ = _loaded(job.classifier)
    images = job.work / CALIBRATION
    calibration = np.load(images) if images.exists() else np.empty(0)
    norms = response_norms(classifier.architecture)
    return to_tflite(static, name, calibration, norms)


def _static(job: Job, name: str, network: Callable[[], Any]) -> Path:
    """The SavedModel `name` of static batch 1, made of `network` if it is not there."""
    from googlenet_keras.exporting.to_saved_model import to_static

    static = job.work / name
    if not static.exists():
        to_static(network(), job.work / "unfinished")
        (job.work / "unfinished").rename(static)
    return static
