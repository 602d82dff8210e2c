"""How many images of a batch fit into memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import tensorflow as tf

from googlenet_keras import records
from googlenet_keras.architecture.arithmetic import sides
from googlenet_keras.errors import UserError
from googlenet_keras.processes import ProcessError, own_process
from googlenet_keras.training import device
from googlenet_keras.training.compiling import compiled
from googlenet_keras.training.config import TrainConfig

STEP, MOST = 8, 256  # larger batches learn less from the same epochs
SPARED = 0.1  # of the free memory, for the input pipeline
EXHAUSTED = (tf.errors.ResourceExhaustedError, tf.errors.AbortedError, MemoryError)


def largest_batch(config: TrainConfig, classes: int, images: int) -> int:
    """The largest multiple of 8 up to 256 and `images` whose training step runs.

    It is tried in a process of its own, which may be killed for it. Raises UserError
    where not even 8 images fit.
    """
    print("trying how many images a step has memory for", file=sys.stderr)
    with own_process(Path(os.devnull)) as call:

        def fits(batch: int) -> bool:
            try:
                return call(_step_runs, config, classes, batch)
            except ProcessError:  # it was killed
                return False

        return _largest(fits, min(MOST, images))


def too_large(network, config: TrainConfig, classes: int) -> UserError:
    """The error for a batch that did not fit, with the largest that does."""
    try:
        fits = _largest(
            lambda batch: _runs(network, config, classes, batch), config.batch_size - 1
        )
    except UserError as error:
        return error
    return UserError(
        f"a batch of {config.batch_size} images does not fit into memory; {fits} do: "
        f"--batch-size {fits}, or a smaller --image-size or --width."
    )


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest multiple of 8 up to `most` that fits, if smaller ones do, too."""
    sizes = range(STEP, most + 1, STEP)
    low, high = 0, len(sizes)  # `low` of them are known to fit, no more than `high` can
    trial = high
    while low < high:
        if fits(sizes[trial - 1]):
            low = trial
        else:
            high = trial - 1
        trial = (low + high + 1) // 2
    if not low:
        raise UserError(
            f"not even {STEP} images fit into memory; choose a smaller --image-size, "
            "--width or --batch-size."
        )
    return sizes[low - 1]


def _step_runs(config: TrainConfig, classes: int, batch: int) -> bool:
    """Whether a training step of `batch` images runs in this process."""
    with device.precision_policy(config.precision):
        return _runs(_network(config, classes), config, classes, batch)


@cache
def _network(config: TrainConfig, classes: int):
    if not tf.config.list_physical_devices("GPU"):
        _limit_memory()
    return compiled(config, classes, steps=1)


def _limit_memory() -> None:
    """Lets what the machine has no memory for fail, before it kills for want of it."""
    free = records.proc_field("meminfo", "MemAvailable")
    taken = records.proc_field("self/status", "VmSize")
    if free and taken:  # else this is no Linux
        import resource

        free, taken = (int(kilobytes.split()[0]) * 1024 for kilobytes in (free, taken))
        limit = int(taken + free * (1 - SPARED))
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def _runs(network, config: TrainConfig, classes: int, batch: int) -> bool:
    images = tf.zeros((batch, *sides(config.image_size), 3))
    labels = tf.zeros((batch,), tf.int32)
    try:
        network.train_on_batch(images, dict.fromkeys(network.output, labels))
    except EXHAUSTED:
        return False
    return True
