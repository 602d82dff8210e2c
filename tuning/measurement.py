"""Measures the latency of untrained networks' int8 files on this machine."""

import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from googlenet_keras import machine
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.arithmetic import height_and_width
from googlenet_keras.artifacts.runtimes import LiteRT, hide_gpus
from googlenet_keras.console import track
from googlenet_keras.errors import UserError
from googlenet_keras.files import cache_folder, read_json, write_json
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.stopwatch import time_calls
from tuning.latency import LatencyModel, fit_latency_model, sample_networks

log = logging.getLogger(__name__)

FITTED_NETWORKS, HELD_OUT_NETWORKS = (
    12,
    10,
)  # networks that the model is fitted to, and checked on
TIMING_ROUNDS, RUNS_PER_ROUND = (
    7,
    3,
)  # of timing; the files take turns, so that all meet the same noise


def load_latency_model(
    base: Architecture, classes: int, image_size: tuple[int, ...]
) -> LatencyModel:
    """Loads this machine's latency model from the cache, or measures and fits it."""
    path = latency_cache_file(base, classes, image_size)
    if path.is_file():
        with suppress(UserError):  # another version's is measured again
            return LatencyModel.from_json(read_json(path))
    log.info("measuring int8 files on this machine, once; one to two minutes")
    networks = sample_networks(base, FITTED_NETWORKS + HELD_OUT_NETWORKS)
    milliseconds = measure_milliseconds(networks, classes, image_size)
    model = fit_latency_model(
        networks, milliseconds, classes, image_size, HELD_OUT_NETWORKS
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(model))
    log.info(
        f"milliseconds are predicted within {model.median_error:.1%} in the median of "
        f"{HELD_OUT_NETWORKS} networks that were not fitted; saved to {path}"
    )
    return model


def measure_milliseconds(
    architectures: Sequence[Architecture], classes: int, image_size: tuple[int, ...]
) -> list[float]:
    """Median milliseconds of each network's int8 file for an image, on one thread."""
    with TemporaryDirectory() as folder:
        files = _convert_all(architectures, classes, image_size, Path(folder))
        runtimes = [LiteRT(file, threads=1) for file in files]
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (1, image_size[0], image_size[-1], 3), np.uint8)
    seconds = np.empty((len(runtimes), TIMING_ROUNDS))
    for turn in track(range(TIMING_ROUNDS), "timing"):
        for number, runtime in enumerate(runtimes):
            # the least of a few runs, after one that fills the processor's caches
            timings = time_calls(
                partial(runtime, image), calls=RUNS_PER_ROUND, warmup=1
            )
            seconds[number, turn] = timings.wall.min()
    return [round(float(x), 5) for x in np.median(seconds, axis=1) * 1e3]


def latency_cache_file(
    base: Architecture, classes: int, image_size: tuple[int, ...]
) -> Path:
    """The cache file of the model for this machine, runtime and kind of network."""
    environment = machine.environment()
    runtime = environment["packages"]["ai-edge-litert"]
    size, processor = list(image_size), environment["processor"]
    key = [base.to_json(), classes, size, processor, runtime]
    digest = hashlib.sha256(json.dumps([key, FITTED_NETWORKS]).encode()).hexdigest()[
        :16
    ]
    return cache_folder() / "latency" / f"{digest}.json"


def _convert_all(
    architectures: Sequence[Architecture],
    classes: int,
    image_size: tuple[int, ...],
    folder: Path,
) -> list[Path]:
    """Converts the networks in a child process: converters print and leak."""
    log_file = cache_folder() / "latency" / "conversion.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with child_process(log_file) as call:
            return [
                call(convert_untrained, arch, classes, image_size, folder / str(number))
                for number, arch in enumerate(track(architectures, "converting"))
            ]
    except ProcessError as error:
        raise UserError(
            f"milliseconds need int8 files, and none could be made: {error}."
        ) from error


def convert_untrained(
    arch: Architecture, classes: int, image_size: tuple[int, ...], path: Path
) -> Path:
    """Writes the int8 file of a network with initial weights to path.tflite."""
    import keras

    from googlenet_keras.artifacts.deployable import untrained_network
    from googlenet_keras.exporting.source import StaticModel, response_norms
    from googlenet_keras.exporting.to_saved_model import save_static
    from googlenet_keras.exporting.to_tflite import to_int8

    hide_gpus()
    network = untrained_network(arch, classes, height_and_width(image_size))
    save_static(network, path)
    keras.utils.clear_session()
    size = network.inputs[0].shape[1:]
    images = np.random.default_rng(0).integers(0, 256, (2, *size), np.uint8)
    file = path.with_suffix(".tflite")
    file.write_bytes(to_int8(StaticModel(path, images, response_norms(arch))))
    return file
