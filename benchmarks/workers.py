"""Images per second of one and two workers on this machine, and arithmetic for more.

    python -m benchmarks.workers --batch-size 32 --image-size 128 --link-gigabits 10

Each worker has one core and one thread; the global batch is the same. Needs Linux.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.variants import get_architecture

WARMUP = 2  # steps
ALL = (1, 2, 4, 8, 16, 32, 64)
BYTES = 4  # a gradient is float32, whatever the precision


@dataclass(frozen=True)
class Options:
    """What is measured, and the machines for which it is calculated."""

    variant: str = "bn"
    """Network: bn, paper, torchvision or slim."""
    width: float = 1.0
    """Factor on every filter count."""
    image_size: int = 128
    """Pixels."""
    batch_size: int = 32
    """Images of all workers per step."""
    classes: int = 10
    """Classes of the random images."""
    steps: int = 10
    """Measured steps of each run, after two that are not."""
    runs: int = 3
    """Runs of one and of two workers, in turns."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Arithmetic."""
    link_gigabits: float = 10.0
    """Gigabits per second of the link between two machines, each way."""
    compute_seconds: float | None = None
    """Seconds a worker computes for a step, for the arithmetic; none: as measured."""


@dataclass(frozen=True)
class Timing:
    """One worker's steps: wall and CPU seconds of each, in the median."""

    seconds: float
    cpu_seconds: float


def main() -> None:
    """Measures, calculates and prints."""
    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        return _work(Options(**json.loads(sys.argv[2])), sys.argv[3])
    options = tyro.cli(Options)
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("error: two workers need two cores; this process may use one.")
    found = {1: [], 2: []}
    for _ in range(options.runs):
        for workers, timings in found.items():
            timings.append(_measure(options, cores[:workers]))
    _print_measured(options, found)
    _print_arithmetic(options, statistics.median(t.seconds for t in found[1]))
    return None


def _measure(options: Options, cores: list[int]) -> Timing:
    """A run with one worker on each of `cores`: the wall of the slowest, all CPU."""
    ports = _free_ports(len(cores))
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    with tempfile.TemporaryFile() as log:
        started = [_start(options, cluster, i, core, log)
                   for i, core in enumerate(cores)]  # fmt: skip
        try:
            answers = [json.loads(p.communicate(timeout=600)[0].splitlines()[-1])
                       for p in started]  # fmt: skip
        finally:
            for process in started:
                process.kill()
    return Timing(
        max(answer["seconds"] for answer in answers),
        sum(answer["cpu_seconds"] for answer in answers),
    )


def _start(options: Options, cluster: dict, index: int, core: int, log):
    task = {"type": "worker", "index": index}
    strategy = "multi-worker" if len(cluster["worker"]) > 1 else "none"
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            __spec__.name,
            "--worker",
            json.dumps(vars(options)),
            strategy,
        ],
        env=os.environ
        | {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
        | {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        stdout=subprocess.PIPE,
        stderr=log,
    )


def _work(options: Options, strategy: str) -> None:
    """Trains on random images as one of the workers, and prints its Timing."""
    import keras
    import tensorflow as tf

    from googlenet_keras.training import distribution, precision
    from googlenet_keras.training.model import build_and_compile
    from googlenet_keras.training.options import TrainConfig

    team = distribution.start_distribution(strategy)
    keras.utils.set_random_seed(0)
    size = (options.image_size,) * 2
    config = replace(
        TrainConfig(variant=options.variant, width=options.width, epochs=1),
        image_size=size,
    ).resolve("photos")
    with precision.precision_policy(options.precision), team.strategy.scope():
        network = build_and_compile(config, options.classes, steps=1000)

    def batches(share):
        each = options.batch_size // share.replicas
        images = tf.random.stateless_uniform((each, *size, 3), [1, 2], 0, 255)
        labels = dict.fromkeys(network.output, tf.zeros((each,), tf.int32))
        return tf.data.Dataset.from_tensors((images, labels)).repeat()

    ends = []

    def note(batch, logs):
        float(logs["loss"])  # waits for the step
        ends.append((time.perf_counter(), time.process_time()))

    network.fit(
        team.distribute(batches),
        steps_per_epoch=WARMUP + options.steps,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=note)],
    )
    spent = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(ends[WARMUP - 1 :])]
    wall, cpu = (statistics.median(values) for values in zip(*spent, strict=True))
    print(json.dumps({"seconds": wall, "cpu_seconds": cpu}), flush=True)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _parameters(options: Options) -> int:
    arch = get_architecture(options.variant).scale_width(options.width)
    return arithmetic.parameters(
        arch, classes=options.classes, image_size=options.image_size, auxiliary=True
    )


def _reduced(parameters: int, workers: int) -> float:
    """Bytes that each worker sends in a step when gradients go round a ring."""
    return BYTES * parameters * 2 * (workers - 1) / workers


def _print_measured(options: Options, found: dict[int, list[Timing]]) -> None:
    parameters = _parameters(options)
    table = Table(
        "workers", "images of each", "images per second", "CPU seconds per image",
        "MB sent by each per step", box=box.MARKDOWN,
    )  # fmt: skip
    for workers, timings in found.items():
        rates = [options.batch_size / t.seconds for t in timings]
        costs = [t.cpu_seconds / options.batch_size for t in timings]
        table.add_row(
            str(workers),
            str(options.batch_size // workers),
            ", ".join(f"{rate:.1f}" for rate in rates),
            ", ".join(f"{cost:.4f}" for cost in costs),
            f"{_reduced(parameters, workers) / 1e6:.1f}",
        )
    print(f"{options.variant}, {parameters:,} trainable values with the heads")
    Console(width=120).print(table)


def _print_arithmetic(options: Options, seconds: float) -> None:
    """What a ring costs where each worker has the batch that was measured alone."""
    seconds = options.compute_seconds or seconds
    parameters = _parameters(options)
    table = Table(
        "workers", "batch", "MB sent by each per step", "seconds on the link",
        "seconds of computing", "computing, part of both", box=box.MARKDOWN,
    )  # fmt: skip
    for workers in ALL:
        sent = _reduced(parameters, workers)
        link = sent * 8 / (options.link_gigabits * 1e9)
        table.add_row(
            str(workers),
            str(workers * options.batch_size),
            f"{sent / 1e6:.1f}",
            f"{link:.4f}",
            f"{seconds:.3f}",
            f"{seconds / (seconds + link):.3f}",
        )
    print(
        f"arithmetic, {options.batch_size} images on each worker, "
        f"{options.link_gigabits:g} Gbit/s, one after the other"
    )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
