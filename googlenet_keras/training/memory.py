"""Finds the largest batch size whose training step fits into memory."""

import logging
import math
import os
from bisect import bisect_left
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from functools import cache, partial
from pathlib import Path

import keras
import tensorflow as tf

from googlenet_keras import machine, processes
from googlenet_keras.architecture.arithmetic import training_bytes
from googlenet_keras.data.none_pictures import none_count
from googlenet_keras.errors import UserError
from googlenet_keras.training.model import build_and_compile
from googlenet_keras.training.options import ResolvedConfig
from googlenet_keras.training.precision import precision_policy

BATCH_MULTIPLE = 8
MAX_AUTO_BATCH_SIZE = 256  # larger ones learn less from the same epochs
RESERVED_MEMORY_FRACTION = 0.1  # of the free memory, for the input pipeline
OUT_OF_MEMORY_ERRORS = (tf.errors.ResourceExhaustedError, MemoryError)
FAILED_STEP_ERRORS = (*OUT_OF_MEMORY_ERRORS, tf.errors.AbortedError)  # oneDNN's
log = logging.getLogger(__name__)


def largest_batch(config: ResolvedConfig, classes: int, images: int) -> int:
    """The largest multiple of 8, up to 256 and `images`, whose training step fits.

    Steps are tried in a child process, since the system may kill it for its memory.
    Raises UserError if not even 8 images fit.
    """
    if images < BATCH_MULTIPLE:
        raise UserError(
            f"--batch-size auto tries multiples of {BATCH_MULTIPLE}, and there are "
            f"{images} images to train on; give a number."
        )
    return _probe_in_child(config, classes, min(MAX_AUTO_BATCH_SIZE, images))


def check_memory(config: ResolvedConfig, classes: int) -> None:
    """Raises UserError for a training step that needs more memory than there is.

    Only a processor's is checked: TensorFlow does not tell the memory of a GPU. With
    image_sizes the largest one counts. Raises UserError also for a size at which the
    network cannot be built.
    """
    images = _step_images(config, config.batch_size)
    output_bytes = 4 if config.precision == "float32" else 2
    needed, size = max(
        (training_bytes(config.network, classes, s.size, images, output_bytes), s.size)
        for s in config.stages
    )
    if config.strategy != "none" or tf.config.list_physical_devices("GPU"):
        return
    machine.check_memory(
        needed,
        f"a step of {images} images of {size[0]} x {size[1]} pixels",
        "Choose a smaller --batch-size, --image-size or --width.",
    )


def _step_images(config: ResolvedConfig, batch: int) -> int:
    """Number of images in a step of one device, with its none pictures."""
    return batch + (none_count(batch) if config.none else 0)


def grow_gpu_memory_on_demand() -> None:
    """Leaves GPU memory to child processes; TensorFlow reserves all of it otherwise."""
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def batch_too_large_error(
    network: keras.Model, config: ResolvedConfig, classes: int
) -> UserError:
    """The error for a batch that does not fit; it names the largest that does."""
    if config.strategy != "none":
        return UserError(
            f"a batch of {config.batch_size} images does not fit into the memory of "
            "all devices; choose a smaller --batch-size, --image-size or --width."
        )
    most = config.batch_size - 1
    try:
        if tf.config.list_physical_devices("GPU"):  # this process holds its memory
            largest = _largest_fitting(partial(_step_fits, network, config), most)
        else:
            largest = _probe_in_child(config, classes, min(MAX_AUTO_BATCH_SIZE, most))
    except UserError as error:
        return error
    return UserError(
        f"a batch of {config.batch_size} images does not fit into memory; {largest} "
        f"do: --batch-size {largest}, or a smaller --image-size or --width."
    )


def _probe_in_child(config: ResolvedConfig, classes: int, most: int) -> int:
    log.info("trying how many images of a batch fit into memory")
    free = _free_bytes()
    with processes.child_process(Path(os.devnull)) as call:

        def fits(batch: int) -> bool:
            try:
                call(_probe, config, classes, batch, free)
            except processes.ProcessError as error:
                if isinstance(error.__cause__, BrokenProcessPool):
                    return False
                raise
            return True

        return _largest_fitting(fits, most)


def _largest_fitting(fits: Callable[[int], bool], most: int) -> int:
    """The largest multiple of 8 up to `most` that fits; tries the upper end first."""
    sizes = range(BATCH_MULTIPLE, most + 1, BATCH_MULTIPLE)
    if sizes and fits(sizes[-1]):
        return sizes[-1]
    fitting = bisect_left(sizes[:-1], True, key=lambda size: not fits(size))
    if not fitting:
        raise UserError(
            f"not even {BATCH_MULTIPLE} images fit into memory; choose a smaller "
            "--image-size, --width or --batch-size."
        )
    return sizes[fitting - 1]


def _free_bytes() -> int | None:
    """Memory that another process may take; None on a GPU or where it is unknown."""
    free = machine.proc_field("meminfo", "MemAvailable")
    if tf.config.list_physical_devices("GPU") or not free:
        return None
    return int(int(free.split()[0]) * 1024 * (1 - RESERVED_MEMORY_FRACTION))


def _probe(config: ResolvedConfig, classes: int, batch: int, free: int | None) -> None:
    """Runs a training step of `batch` images, or exits this process if it fails.

    A failed step leaves the memory fragmented, so the next trial needs a new process.
    """
    with precision_policy(config.precision):
        if not _step_fits(_build_once(config, classes, free), config, batch):
            os._exit(1)


@cache
def _build_once(config: ResolvedConfig, classes: int, free: int | None) -> keras.Model:
    """Limits this process to `free` more bytes, then builds the compiled network.

    With the limit an allocation fails, where without it the system kills a process.
    """
    processes.limit_this_process(memory_bytes=free)
    largest = max((stage.size for stage in config.stages), key=math.prod)
    return build_and_compile(config, classes, steps=1, image_size=largest)


def _step_fits(network: keras.Model, config: ResolvedConfig, batch: int) -> bool:
    count = _step_images(config, batch)
    images = tf.zeros((count, *network.inputs[0].shape[1:]))
    labels = tf.zeros((count,), tf.int32)
    try:
        network.train_on_batch(images, dict.fromkeys(network.output, labels))
    except FAILED_STEP_ERRORS:
        return False
    return True
