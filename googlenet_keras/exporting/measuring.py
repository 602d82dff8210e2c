"""A network's answers, speed and memory in a process of its own, which may crash."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.artifacts.runtimes import (
    LiteRT,
    Runtime,
    is_exported,
    limit_threads,
    open_runtime,
    processor_alone,
)
from googlenet_keras.errors import UserError
from googlenet_keras.machine import cores
from googlenet_keras.processes import redirect_output
from googlenet_keras.stopwatch import peak_megabytes

LEAST_RUNS, MOST_RUNS, SECONDS = 5, 30, 3.0  # of timing, at each number of threads


class ArtifactError(UserError):
    """A file that its runtime cannot open or run, or that ends the process."""


@dataclass(frozen=True)
class Measured:
    """Answers [images, classes] and what they cost.

    milliseconds: by number of threads, {"median", "p90"} of one image. of_bytes: the
    answers to encoded photographs and their first labels, where there were any.
    partitions: of a TFLite file, the pieces of the graph that XNNPACK computes.
    """

    probabilities: np.ndarray
    milliseconds: dict[str, dict[str, float]]
    peak_megabytes: float | None
    of_bytes: tuple[np.ndarray, list[str]] | None = None
    partitions: int | None = None


def measured(
    path: Path,
    size: tuple[int, int],
    batches: Iterable[np.ndarray],
    log: Path,
    encoded: Sequence[bytes] = (),
) -> Measured:
    """Runs the exported file, or the saved Classifier, at `path` over `batches`.

    size: height and width of its images; one of them is timed before `batches` is
    asked for any, so that nothing else is busy. log: the file that takes what the
    runtimes print. encoded: photographs for a SavedModel's serve_bytes. Raises
    ArtifactError.
    """
    milliseconds = {}
    for threads in sorted({1, cores()}):
        with _worker(path, threads, log) as ask:
            cost = ask(size)
            milliseconds[str(threads)] = cost["milliseconds"]
            if threads == cores():
                answers = [ask(batch) for batch in batches]
                of_bytes = ask(list(encoded)) if encoded else None
    return Measured(
        np.concatenate(answers),
        milliseconds,
        cost["peak_megabytes"],
        of_bytes,
        cost["partitions"],
    )


@contextmanager
def _worker(path: Path, threads: int, log: Path) -> Iterator[Any]:
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, path, threads, log))
    process.start()
    theirs.close()

    def ask(what: Any) -> Any:
        try:
            ours.send(what)
            answer = ours.recv()
        except (EOFError, OSError) as error:
            process.join()
            raise ArtifactError(
                f"its runtime ended with status {process.exitcode}"
            ) from error
        if isinstance(answer, Exception):
            raise ArtifactError(str(answer))
        return answer

    try:
        yield ask
    finally:
        ours.close()
        process.join(timeout=10)
        process.kill()


def _work(connection: Connection, path: Path, threads: int, log: Path) -> None:
    """Answers a size with figures, images and encoded photographs with answers."""
    redirect_output(log)
    try:
        runtime = _opened(path, threads)
        while True:
            asked = connection.recv()
            if isinstance(asked, tuple):
                connection.send(_cost(runtime, asked))
            else:
                run = runtime.of_bytes if isinstance(asked, list) else runtime
                connection.send(run(asked))
    except EOFError:
        return
    except Exception as error:
        connection.send(ArtifactError(str(error)))


def _cost(runtime: Runtime, size: tuple[int, int]) -> dict[str, Any]:
    return {
        "milliseconds": _timed(runtime, size),
        "peak_megabytes": peak_megabytes(),
        "partitions": runtime.partitions() if isinstance(runtime, LiteRT) else None,
    }


def _opened(path: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    if is_exported(path):
        return open_runtime(path, threads)
    import tensorflow as tf

    from googlenet_keras.classifier import Classifier

    processor_alone()
    limit_threads(threads)
    network = Classifier.load(path).network
    forward = tf.function(
        lambda x: tf.nn.softmax(network(x, training=False)["main"]), jit_compile=False
    )
    return lambda images: forward(tf.constant(images, tf.float32)).numpy()


def _timed(runtime: Runtime, size: tuple[int, int]) -> dict[str, float]:
    """Milliseconds of one image, bytes as a camera gives them."""
    image = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    runtime(image)
    seconds: list[float] = []
    while len(seconds) < LEAST_RUNS or (
        len(seconds) < MOST_RUNS and sum(seconds) < SECONDS
    ):
        began = time.perf_counter()
        runtime(image)
        seconds.append(time.perf_counter() - began)
    median, p90 = np.quantile(seconds, [0.5, 0.9]) * 1e3
    return {"median": round(float(median), 3), "p90": round(float(p90), 3)}
