"""Plans the number of epochs of a run that --minutes limits."""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Protocol

import keras

from googlenet_keras.files import disk_errors
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.callbacks import SaveLast, WatchLearning
from googlenet_keras.training.input_pipeline import cached_splits
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.optimizer import AverageWeights
from googlenet_keras.training.pace import (
    MAX_MEASURED_STEPS,
    MEASURED_FRACTION,
    WARMUP_STEPS,
    Clock,
    Pace,
    epochs_within,
)

TIMED_CALLBACKS = (WatchLearning, AverageWeights, SaveLast)
log = logging.getLogger(__name__)


class Probe(Protocol):
    """The part of a Trainer that is timed; its own module imports this one."""

    callbacks: list[keras.callbacks.Callback]

    def fit_first_epoch(
        self, steps: int, parts: Sequence[keras.callbacks.Callback]
    ) -> None: ...


def plan_epochs(
    job: TrainingJob, make_probe: Callable[[TrainingJob], Probe], stopwatch: Stopwatch
) -> TrainingJob:
    """`job` with as many epochs as fit into what is left of --minutes.

    make_probe: makes a Trainer. stopwatch: has the time that is spent. Raises
    UserError.
    """
    config, steps = job.config, job.steps_per_epoch
    sizes = {stage.size for stage in config.stages}
    seconds = MEASURED_FRACTION * 60 * config.minutes / len(sizes)
    if config.cache == "disk":
        cached_splits(config, job.dataset)  # the run will find the copies
    paces = {size: _measure_pace(job, size, make_probe, seconds) for size in sizes}
    keras.utils.set_random_seed(config.seed)
    left = 60 * config.minutes - stopwatch.spent()["seconds"]
    epochs = epochs_within(
        left,
        steps,
        job.dataset,
        paces,
        make_stages=lambda number: replace(config, epochs=number).stages,
    )
    each = [f"{pace.epoch(steps):.1f}" for _, pace in sorted(paces.items())]
    of_seconds = f"of about {' to '.join(each)} seconds"
    if epochs:
        log.info("%d epochs %s fit into %g minutes", epochs, of_seconds, config.minutes)
    else:
        log.warning("no epoch %s fits into %g minutes: one", of_seconds, config.minutes)
    return replace(job, config=replace(config, epochs=max(epochs, 1)))


def _measure_pace(
    job: TrainingJob,
    size: tuple[int, int],
    make_probe: Callable[[TrainingJob], Probe],
    seconds: float,
) -> Pace:
    """Times a network that is thrown away, so that the run's own starts as usual.

    size: height and width of its images. seconds: of the steps that are measured.
    """
    config = replace(job.config, image_size=size, grow="off")
    with _folder_beside(job.folder) as folder:
        stopwatch = Stopwatch()
        own = replace(job, folder=folder, config=config)
        probe = make_probe(own)
        _time_epoch(own, probe, 0.0)
        first = stopwatch.spent()["seconds"]
        clock = _time_epoch(own, probe, seconds)
    del probe
    gc.collect()  # a GPU's memory, which the next network needs
    return Pace(first - clock.epoch_end, clock.step, clock.epoch_end)


def _time_epoch(job: TrainingJob, probe: Probe, seconds: float) -> Clock:
    """Trains for about `seconds` and validates, without checkpoints."""
    clock = Clock(seconds)
    parts = [part for part in probe.callbacks if isinstance(part, TIMED_CALLBACKS)]
    planned = job.config.epochs * job.steps_per_epoch
    steps = min(WARMUP_STEPS + MAX_MEASURED_STEPS, planned)
    probe.fit_first_epoch(steps, [*parts, clock])
    return clock


@contextmanager
def _folder_beside(folder: RunFolder) -> Iterator[RunFolder]:
    """A temporary run folder on the disk where `folder` will be."""
    parent = folder.path.absolute().parent
    with disk_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        temporary = TemporaryDirectory(prefix=".measuring-", dir=parent)
    with temporary as path:
        yield RunFolder(path)
