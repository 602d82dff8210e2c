"""Measures a network's predictions, latency and memory in a child process."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from googlenet_keras.artifacts.runtimes import (
    LiteRT,
    Runtime,
    SavedModel,
    hide_gpus,
    is_artifact,
    limit_tensorflow_threads,
    open_runtime,
)
from googlenet_keras.errors import UserError
from googlenet_keras.exporting.report import FormatRow, Latency
from googlenet_keras.machine import cores
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.stopwatch import peak_megabytes, spread, time_calls

MIN_TIMED_CALLS, MAX_TIMED_CALLS, TIMING_SECONDS = (
    5,
    30,
    3.0,
)  # of timing, at each number of threads
Answers = tuple[np.ndarray, list[str]]
"""Probabilities [images, classes] and the likeliest label of each image."""


class ArtifactError(UserError):
    """An exported file cannot be opened or run, or crashes its process."""


@dataclass(frozen=True)
class Measurement:
    """A network's probabilities [images, classes], its cost, and its labels for photos.

    cost: milliseconds by number of threads, peak_megabytes on all cores and, of a
    TFLite file, xnnpack_partitions.
    """

    probabilities: np.ndarray
    cost: FormatRow
    photos: Answers | None = None


def measure(
    path: Path,
    size: tuple[int, int],
    batches: Iterable[np.ndarray],
    log: Path,
    photos: Sequence[bytes] = (),
) -> Measurement:
    """Runs the exported file, or the saved Classifier, at `path` over `batches`.

    size: height and width of its images; one of them is timed before `batches` is
    asked for any, so that nothing else is busy. log: the file that takes what the
    runtimes print. photos: encoded, for a SavedModel's serve_bytes. Raises
    ArtifactError.
    """
    latency: dict[str, Latency] = {}
    try:
        for threads in sorted({1, cores()}):
            with child_process(log) as call:
                latency[str(threads)] = call(_time, path, threads, size)
                cost: FormatRow = call(_cost, path, threads)
                if threads == cores():
                    answers = [call(_answer, path, threads, b) for b in batches]
                    labeled = call(_answer_photos, path, photos) if photos else None
    except ProcessError as error:
        raise ArtifactError(str(error)) from error
    cost = {"milliseconds": latency, **cost}
    return Measurement(np.concatenate(answers), cost, labeled)


# what follows runs in the child process, which opens the file once and, unless the
# file needs it, does not import TensorFlow: its memory would count as the file's


def _time(path: Path, threads: int, size: tuple[int, int]) -> Latency:
    runtime = _open(path, threads)
    # bytes as a camera gives them
    image = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    timings = time_calls(
        lambda: runtime(image),
        calls=MAX_TIMED_CALLS,
        warmup=1,
        at_least=MIN_TIMED_CALLS,
        seconds=TIMING_SECONDS,
    )
    milliseconds = spread(timings.wall * 1e3)
    return {
        "median": round(milliseconds["median"], 3),
        "p90": round(milliseconds["p90"], 3),
    }


def _cost(path: Path, threads: int) -> FormatRow:
    runtime = _open(path, threads)
    cost: FormatRow = {"peak_megabytes": peak_megabytes()}
    if isinstance(runtime, LiteRT):
        cost["xnnpack_partitions"] = runtime.partitions()
    return cost


def _answer(path: Path, threads: int, images: np.ndarray) -> np.ndarray:
    return _open(path, threads)(images)


def _answer_photos(path: Path, photos: Sequence[bytes]) -> Answers:
    runtime = _open(path, cores())
    if not isinstance(runtime, SavedModel):
        raise TypeError(f"{path} takes no encoded photos.")
    return runtime.run_encoded(list(photos))


@cache
def _open(path: Path, threads: int) -> Runtime | Callable[[np.ndarray], np.ndarray]:
    return open_runtime(path, threads) if is_artifact(path) else _keras(path, threads)


def _keras(path: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    import tensorflow as tf

    from googlenet_keras.classifier import Classifier

    hide_gpus()
    limit_tensorflow_threads(threads)
    network = Classifier.load(path).network
    forward = tf.function(
        lambda x: tf.nn.softmax(network(x, training=False)["main"]), jit_compile=False
    )
    return lambda images: forward(tf.constant(images, tf.float32)).numpy()
