"""Measures a network's predictions, latency and memory in a child process.

This module does not import TensorFlow: its memory would count as an exported file's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from googlenet_keras.artifacts.runtimes import (
    LiteRT,
    Runtime,
    SavedModel,
    find_kind,
    hide_gpus,
    limit_tensorflow_threads,
    open_runtime,
)
from googlenet_keras.console import track
from googlenet_keras.errors import UserError
from googlenet_keras.exporting.report import FormatRow
from googlenet_keras.machine import cores
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.stopwatch import peak_megabytes, spread, time_calls

if TYPE_CHECKING:
    from googlenet_keras.artifacts.artifact import Contents
    from googlenet_keras.data.dataset import Split

PARITY_BATCH_SIZE = 16
CHECKED_PHOTOS = 32  # validation images that a SavedModel also gets as files
MIN_TIMED_CALLS, MAX_TIMED_CALLS, TIMING_SECONDS = 5, 30, 3.0  # at 1 or n threads
MIN_TURNS, MAX_TURNS, CALLS_PER_TURN = 3, 60, 3  # of a file and the one beside it
TURNS_CPU_SECONDS = 4.0  # of both
Answers = tuple[np.ndarray, list[str]]
"""Probabilities [images, classes] and the likeliest label of each image."""


@dataclass(frozen=True)
class Measurement:
    """The probabilities that a network gives, with its costs and accuracy."""

    probabilities: np.ndarray  # [images, classes]
    row: FormatRow  # its cost, peak_megabytes on all cores, and its accuracy
    photos: Answers | None = None  # to encoded photos


@dataclass(frozen=True)
class Images:
    """The images for the parity check."""

    split: Split
    labels: np.ndarray  # [images] true classes, as numbers of the classifier
    contents: Contents  # that each file must carry

    def batches(self, description: str) -> Iterator[np.ndarray]:
        """Preprocessed images in reading order, with a progress bar on a terminal."""
        from googlenet_keras.data import pipeline

        examples = pipeline.evaluation_batches(
            self.split,
            self.contents.preprocessing,
            heads=("main",),
            batch_size=PARITY_BATCH_SIZE,
        )
        steps = -(-self.split.count // PARITY_BATCH_SIZE)
        with pipeline.explain_unreadable(self.split):
            for images, _ in track(examples, description, steps):
                yield images.numpy()

    def measure(
        self, path: Path, name: str, log: Path, takes_photos: bool = False
    ) -> Measurement:
        """Runs the exported file, or the saved Classifier, at `path`.

        It is timed before an image is read, so that nothing else is busy; a kind that
        is interpreted here is not timed. log: the file that takes what the runtimes
        print. takes_photos: it has `serve_bytes`. Raises
        UserError.
        """
        from googlenet_keras.evaluation.metrics import macro_f1

        size = self.contents.preprocessing.size
        kind = find_kind(path)
        is_timed = not (kind and kind.is_interpreted)
        latency: dict[str, dict[str, float]] = {}
        cost: FormatRow = {}
        photos: Answers | None = None
        try:
            for threads in sorted({1, cores()} if is_timed else {cores()}):
                with child_process(log) as call:
                    if is_timed:
                        latency[str(threads)], cost = call(_time, path, threads, size)
                    if threads == cores():
                        batches = self.batches(f"{name}: running")
                        answers = [call(_answer, path, threads, b) for b in batches]
                        if takes_photos:
                            photos = call(_answer_photos, path, self._photos())
        except ProcessError as error:
            raise UserError(str(error)) from error
        probabilities = np.concatenate(answers)
        predicted = probabilities.argmax(axis=1)
        if is_timed:
            cost["milliseconds"] = latency
        row: FormatRow = {
            **cost,
            "images": len(self.labels),
            "top1": float(np.mean(predicted == self.labels)),
            "macro_f1": macro_f1(self.labels, predicted, probabilities.shape[1]),
        }
        return Measurement(probabilities, row, photos)

    def _photos(self) -> list[bytes]:
        references = self.split.in_order().take(CHECKED_PHOTOS)
        return [self.split.load(reference).numpy() for _, _, reference in references]


def time_ratios(base: Path, paths: Mapping[str, Path], log: Path) -> dict[str, float]:
    """The CPU time of each of `paths` on one thread as a multiple of that of `base`.

    The two run in turns, so that other work on the machine slows down both. log: as for
    `Images.measure`. Raises UserError.
    """
    try:
        with child_process(log) as call:
            return {
                name: 1.0 if path == base else call(_time_ratio, base, path)
                for name, path in paths.items()
            }
    except ProcessError as error:
        raise UserError(str(error)) from error


# what follows runs in the child process, which opens the file once


def _time(
    path: Path, threads: int, size: tuple[int, int]
) -> tuple[dict[str, float], FormatRow]:
    """Milliseconds per image, and the process's peak memory after the timing."""
    runtime, image = _open(path, threads), _camera_image(size)
    timings = time_calls(
        lambda: runtime(image),
        calls=MAX_TIMED_CALLS,
        warmup=1,
        at_least=MIN_TIMED_CALLS,
        seconds=TIMING_SECONDS,
    )
    found = spread(timings.wall * 1e3)
    cost: FormatRow = {"peak_megabytes": peak_megabytes()}
    if isinstance(runtime, LiteRT):
        cost["xnnpack_partitions"] = runtime.partitions()
    return {"median": round(found["median"], 3), "p90": round(found["p90"], 3)}, cost


def _camera_image(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)


def _time_ratio(base: Path, path: Path) -> float:
    """The ratio of the least CPU times of the two exported files, over all turns.

    The least, because other programs only ever add time, by emptying caches; a median
    of turns was off by a tenth and more on a busy machine.
    """
    times: dict[Path, list[float]] = {path: [], base: []}
    began = time.process_time()
    for turn in range(1, MAX_TURNS + 1):
        for file, found in times.items():
            runtime = cast(Runtime, _open(file, 1))
            call = partial(runtime, _camera_image(runtime.size))
            found += time_calls(call, calls=CALLS_PER_TURN, warmup=1).cpu.tolist()
        # of the CPU: on a busy machine the wall clock would leave few turns
        if turn >= MIN_TURNS and time.process_time() - began > TURNS_CPU_SECONDS:
            break
    return min(times[path]) / min(times[base])


def _answer(path: Path, threads: int, images: np.ndarray) -> np.ndarray:
    return _open(path, threads)(images)


def _answer_photos(path: Path, photos: list[bytes]) -> Answers:
    return cast(SavedModel, _open(path, cores())).run_encoded(photos)


@cache
def _open(path: Path, threads: int) -> Runtime | Callable[[np.ndarray], np.ndarray]:
    kind = find_kind(path)
    if not (kind and kind.is_data):  # TensorFlow runs it
        hide_gpus()
    if kind:
        return open_runtime(path, threads)
    import tensorflow as tf

    from googlenet_keras.classifier import Classifier

    limit_tensorflow_threads(threads)
    network = Classifier.load(path).network
    forward = tf.function(
        lambda x: tf.nn.softmax(network(x, training=False)["main"]), jit_compile=False
    )
    return lambda images: forward(tf.constant(images, tf.float32)).numpy()
