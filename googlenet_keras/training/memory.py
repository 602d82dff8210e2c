"""How many images of a batch fit into memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path

import keras
import tensorflow as tf

from googlenet_keras import machine
from googlenet_keras.architecture.arithmetic import height_and_width
from googlenet_keras.errors import UserError
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.training import precision
from googlenet_keras.training.model import compiled
from googlenet_keras.training.options import TrainConfig

STEP, MOST = 8, 256  # larger batches learn less from the same epochs
SPARED = 0.1  # of the free memory, for the input pipeline
OUT_OF_MEMORY = (tf.errors.ResourceExhaustedError, MemoryError)
EXHAUSTED = (*OUT_OF_MEMORY, tf.errors.AbortedError)  # as oneDNN reports it


def largest_batch(config: TrainConfig, classes: int, images: int) -> int:
    """The largest multiple of 8 up to 256 and `images` whose training step runs.

    It is tried in a process of its own, which may be killed for it. Raises UserError
    where not even 8 images fit.
    """
    if images < STEP:
        raise UserError(
            f"--batch-size auto tries multiples of {STEP}, and there are {images} "
            "images to train on; give a number."
        )
    return _tried(config, classes, min(MOST, images))


def leave_to_others() -> None:
    """Has TensorFlow take a GPU's memory as it needs it, if it has not started yet.

    Else the process that tries batches would find none.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def _tried(config: TrainConfig, classes: int, most: int) -> int:
    print("trying how many images a step has memory for", file=sys.stderr)
    free = _free_bytes()
    with child_process(Path(os.devnull)) as call:

        def fits(batch: int) -> bool:
            try:
                call(_step_or_end, config, classes, batch, free)
            except ProcessError as error:
                if isinstance(error.__cause__, BrokenProcessPool):
                    return False
                raise
            return True

        return _largest(fits, most)


def too_large(network: keras.Model, config: TrainConfig, classes: int) -> UserError:
    """The error for a batch that did not fit, with the largest that does."""
    if config.strategy != "none":
        return UserError(
            f"a batch of {config.batch_size} images does not fit into the memory of "
            "all devices; choose a smaller --batch-size, --image-size or --width."
        )
    most = config.batch_size - 1
    try:
        if tf.config.list_physical_devices("GPU"):  # whose memory this process has
            fits = _largest(lambda batch: _runs(network, config, classes, batch), most)
        else:
            fits = _tried(config, classes, min(MOST, most))
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


def _free_bytes() -> int | None:
    """Memory that a process may still take; None on a GPU or where nobody tells."""
    free = machine.proc_field("meminfo", "MemAvailable")
    if tf.config.list_physical_devices("GPU") or not free:
        return None
    return int(int(free.split()[0]) * 1024 * (1 - SPARED))


def _step_or_end(
    config: TrainConfig, classes: int, batch: int, free: int | None
) -> None:
    """Runs a training step of `batch` images, or ends this process if it cannot.

    What a step that failed leaves of the memory is in pieces.
    """
    with precision.precision_policy(config.precision):
        if not _runs(_network(config, classes, free), config, classes, batch):
            os._exit(1)


@cache
def _network(config: TrainConfig, classes: int, free: int | None) -> keras.Model:
    """The network, in a process that can take no more than `free` bytes from now on.

    What there is no memory for fails then, before others are killed for want of it.
    """
    if free:
        import resource

        taken = int(machine.proc_field("self/status", "VmSize").split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (taken + free, resource.RLIM_INFINITY))
    return compiled(config, classes, steps=1)


def _runs(network: keras.Model, config: TrainConfig, classes: int, batch: int) -> bool:
    images = tf.zeros((batch, *height_and_width(config.image_size), 3))
    labels = tf.zeros((batch,), tf.int32)
    try:
        network.train_on_batch(images, dict.fromkeys(network.output, labels))
    except EXHAUSTED:
        return False
    return True
