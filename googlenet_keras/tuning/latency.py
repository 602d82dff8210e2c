"""Predicts the milliseconds of int8.tflite from a network's layers.

Multiply-adds alone mislead: XNNPACK computes channels in blocks, a 1x1 convolution runs
faster than a 5x5 one of as many multiply-adds, and pooling and concatenation cost time
and multiply nothing. So the time of a network is a weighted sum of its layers' work,
and the weights are fitted to files of untrained networks, measured on this machine.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Self

import numpy as np
from msgspec import Meta
from scipy.optimize import nnls

from googlenet_keras import machine
from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.table1 import Inception, MaxPool, ResponseNorm
from googlenet_keras.artifacts.runtimes import LiteRT, hide_gpus
from googlenet_keras.console import track
from googlenet_keras.errors import UserError
from googlenet_keras.files import cache_folder, convert, read_json, write_json
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.stopwatch import time_calls
from googlenet_keras.tuning.space import round_width

log = logging.getLogger(__name__)

# output channels that XNNPACK may compute at once: 16 with AVX512, 64 with AMX
CHANNEL_BLOCKS = (8, 16, 32, 64)
SAMPLED_WIDTH_MULTIPLIERS = (0.15, 1.1)  # of the narrowest and the widest network
FITTED_NETWORKS, HELD_OUT_NETWORKS = 12, 10  # the model is checked on the latter
# the files take turns in each round, so that all meet the same noise
TIMING_ROUNDS, RUNS_PER_ROUND = 7, 3
WORK_KINDS = (  # keys of latency.json
    *("network", "pointwise_macs", "spatial_macs", "first_macs"),
    *("outputs", "pixels_gathered", "pooled", "joined", "normalised"),
)


@dataclass(frozen=True)
class Task:
    """The classes and the image size, which all networks of a search share."""

    classes: int
    image_size: tuple[int, ...]

    def stages(self, arch: Architecture) -> Iterator[arithmetic.Stage]:
        """The rows of `arch`, without auxiliary heads, with their sizes."""
        return arithmetic.iterate_stages(arch, self.classes, self.image_size, False)


@dataclass(frozen=True)
class LatencyModel(Task):
    """Predicts the milliseconds of networks for one task; the fields of latency.json.

    milliseconds_per: for a unit of each of WORK_KINDS, not negative. median_error:
    relative, of the networks that the model was not fitted to. checked_milliseconds:
    {"predicted", "measured"} of each of these. channel_block: output channels that cost
    as much as one.
    """

    milliseconds_per: dict[str, Annotated[float, Meta(ge=0, le=1e9)]]
    median_error: Annotated[float, Meta(ge=0, le=1e9)]
    checked_milliseconds: Sequence[Mapping[str, float]] = ()
    channel_block: Annotated[int, Meta(ge=1, le=1024)] = 16

    def milliseconds(self, arch: Architecture) -> float:
        """Milliseconds for one image on one thread."""
        work = count_work(arch, self, self.channel_block)
        return float(work @ np.array([self.milliseconds_per[x] for x in WORK_KINDS]))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Builds the model from a dictionary of its fields. Raises UserError."""
        model: Self = convert(data, cls, "this is no model of latency")
        if missing := set(WORK_KINDS) - model.milliseconds_per.keys():
            raise UserError(f"a model of latency needs {', '.join(sorted(missing))}.")
        arithmetic.check_classes(model.classes)
        arithmetic.height_and_width(model.image_size)
        return model


def load_latency_model(base: Architecture, task: Task) -> LatencyModel:
    """Loads this machine's latency model from the cache, or measures and fits it."""
    path = latency_cache_file(base, task)
    if path.is_file():
        with suppress(UserError):  # another version's is measured again
            return LatencyModel.from_json(read_json(path))
    log.info("measuring int8 files on this machine, once; one to two minutes")
    networks = sample_networks(base)
    model = fit_latency_model(networks, measure_milliseconds(networks, task), task)
    write_json(path, asdict(model))
    log.info(
        f"milliseconds are predicted within {model.median_error:.1%} in the median of "
        f"{HELD_OUT_NETWORKS} networks that were not fitted; saved to {path}"
    )
    return model


def latency_cache_file(base: Architecture, task: Task) -> Path:
    """The cache file of the model for this machine, runtime and kind of network."""
    environment = machine.environment()
    runtime = environment["packages"]["ai-edge-litert"]
    size, processor = list(task.image_size), environment["processor"]
    kind = [base.to_json(), task.classes, size, processor, runtime]
    key = [kind, FITTED_NETWORKS, CHANNEL_BLOCKS]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    return cache_folder() / "latency" / f"{digest}.json"


def sample_networks(base: Architecture) -> list[Architecture]:
    """Random networks that vary as candidates do: each width by its own factor."""
    random, count = np.random.default_rng(0), FITTED_NETWORKS + HELD_OUT_NETWORKS
    multipliers = np.geomspace(*SAMPLED_WIDTH_MULTIPLIERS, count)
    return [
        base.with_widths(
            {
                name: round_width(width * overall * random.uniform(0.5, 1.5))
                for name, width in base.widths().items()
            }
        )
        for overall in multipliers[random.permutation(count)]
    ]


def fit_latency_model(
    networks: Sequence[Architecture], milliseconds: Sequence[float], task: Task
) -> LatencyModel:
    """Fits a model to measurements; the last HELD_OUT_NETWORKS of them check it.

    Its channel_block is the one that fits best.
    """
    measured, fitted = np.asarray(milliseconds), len(networks) - HELD_OUT_NETWORKS
    work = {
        block: np.stack([count_work(arch, task, block) for arch in networks])
        for block in CHANNEL_BLOCKS
    }
    fits = {
        block: _fit(work[block][:fitted], measured[:fitted]) for block in CHANNEL_BLOCKS
    }
    block = min(fits, key=lambda block: fits[block][1])
    costs = fits[block][0]
    predicted, measured = work[block][fitted:] @ costs, measured[fitted:]
    return LatencyModel(
        task.classes,
        tuple(task.image_size),
        dict(zip(WORK_KINDS, costs.tolist(), strict=True)),
        round(float(np.median(np.abs(predicted / measured - 1))), 4),
        [
            {"predicted": round(p, 4), "measured": round(m, 4)}
            for p, m in zip(predicted.tolist(), measured.tolist(), strict=True)
        ],
        block,
    )


def _fit(work: np.ndarray, milliseconds: np.ndarray) -> tuple[np.ndarray, float]:
    """The milliseconds of a unit of each kind of work, and the error of the fit."""
    scale = np.maximum(work.max(axis=0), 1)
    # divided by its time, each network counts alike, however fast
    rows = work / scale / milliseconds[:, None]
    costs, error = nnls(rows, np.ones(len(work)))
    return costs / scale, float(error)


def count_work(arch: Architecture, task: Task, channel_block: int) -> np.ndarray:
    """The amount of each of WORK_KINDS for one image, [len(WORK_KINDS)]."""
    work = dict.fromkeys(WORK_KINDS, 0.0) | {"network": 1.0}
    rows = {row.name: row for row in arch.rows}
    for stage in task.stages(arch):
        for layer in stage.layers:
            pixels = layer.height * layer.width
            outputs = channel_block * -(-layer.outputs // channel_block)
            kind = "pointwise" if layer.kernel == 1 else "spatial"
            kind = "first" if layer.inputs == 3 else kind
            work[f"{kind}_macs"] += pixels * layer.kernel**2 * layer.inputs * outputs
            work["outputs"] += pixels * outputs
            if layer.kernel > 1:
                work["pixels_gathered"] += pixels * layer.kernel**2
        row, (height, width, channels) = rows.get(stage.name), stage.output
        if isinstance(row, MaxPool):
            work["pooled"] += height * width * channels * row.window**2
        if isinstance(row, ResponseNorm):
            work["normalised"] += height * width * channels**2
        if isinstance(row, Inception):
            work["pooled"] += height * width * stage.layers[0].inputs * 9
            work["joined"] += height * width * channels
    return np.array([work[kind] for kind in WORK_KINDS])


def measure_milliseconds(networks: Sequence[Architecture], task: Task) -> list[float]:
    """Median milliseconds of each network's int8 file for an image, on one thread."""
    runtimes = []
    log_file = cache_folder() / "latency" / "conversion.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    # in a child process: converters print and leak
    with TemporaryDirectory() as folder, child_process(log_file) as call:
        for number, arch in enumerate(track(networks, "converting")):
            try:
                file = call(convert_untrained, arch, task, Path(folder, str(number)))
            except ProcessError as error:
                raise UserError(
                    f"milliseconds need int8 files, and none could be made: {error}."
                ) from error
            runtimes.append(LiteRT(file, threads=1))
    shape = (1, *arithmetic.height_and_width(task.image_size), 3)
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    seconds = np.empty((len(runtimes), TIMING_ROUNDS))
    for turn in track(range(TIMING_ROUNDS), "timing"):
        for number, runtime in enumerate(runtimes):
            # the least of a few runs, after one that fills the processor's caches
            timed = time_calls(partial(runtime, image), calls=RUNS_PER_ROUND, warmup=1)
            seconds[number, turn] = timed.wall.min()
    return [round(float(x), 5) for x in np.median(seconds, axis=1) * 1e3]


def convert_untrained(arch: Architecture, task: Task, path: Path) -> Path:
    """Writes the int8 file of a network with initial weights to path.tflite."""
    import keras

    from googlenet_keras.artifacts.deployable import untrained_network
    from googlenet_keras.exporting import converters

    hide_gpus()
    size = arithmetic.height_and_width(task.image_size)
    converters.save_static(untrained_network(arch, task.classes, size), path)
    keras.utils.clear_session()
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    file = path.with_suffix(".tflite")
    model = converters.StaticModel(path, images, converters.response_norms(arch))
    file.write_bytes(converters.to_int8(model))
    return file
