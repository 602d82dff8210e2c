"""Trains the network of a job, and leaves it in the run folder."""

import gc
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from tempfile import TemporaryDirectory

import keras

from googlenet_keras.classifier import Classifier
from googlenet_keras.data import pipeline
from googlenet_keras.data.cache import damaged_copy_error
from googlenet_keras.data.dataset import warn_of_missing_classes
from googlenet_keras.errors import DiskError, InterruptionError
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training import callbacks, memory, transfer
from googlenet_keras.training.initial_network import (
    copy_initial_weights,
    new_classifier,
)
from googlenet_keras.training.input_pipeline import training_batches
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.optimizer import AverageWeights, warmup_steps
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.pace import (
    MAX_MEASURED_STEPS,
    MEASURED_FRACTION,
    WARMUP_STEPS,
    Clock,
    Pace,
)
from googlenet_keras.training.patience import Patience
from googlenet_keras.training.precision import precision_policy
from googlenet_keras.training.signals import StopRequest, graceful_stop
from googlenet_keras.training.soft_targets import SoftTargets, mean_of
from googlenet_keras.training.stages import Stage, describe_size, stage_at
from googlenet_keras.training.training_state import TrainingState, resume_hint

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedNetwork:
    """The result of training; the network is in the run folder, as of best_epoch."""

    job: TrainingJob
    best_epoch: int

    @cached_property
    def classifier(self) -> Classifier:
        """The trained Classifier."""
        return Classifier.load(self.job.folder.classifier)


def train_network(
    config: TrainConfig,
    stopwatch: Stopwatch | None = None,
    find_weights: transfer.WeightsFinder | None = None,
) -> TrainedNetwork | None:
    """Trains as `config` says, without a final evaluation.

    The run folder gets config.json, environment.json, metrics.jsonl, tensorboard/,
    checkpoints/ and classifier/, as of the last epoch that is not clearly worse than an
    earlier one (SaveLast). stopwatch: gets what the earlier parts of a resumed run have
    spent. find_weights: as in TrainingJob.from_config. Of several workers only the
    chief writes and logs; the others get None. Raises UserError, if possible before the
    folder is made, and InterruptionError after a signal.
    """
    job = TrainingJob.from_config(config, find_weights)
    with (
        precision_policy(job.config.precision),
        job.distribution.explain_lost_worker(job.folder.path),
        graceful_stop() as stop,
    ):
        job.check_agreement()
        stopwatch = stopwatch or Stopwatch()
        if job.config.minutes and not job.resumed:
            job = _plan_epochs(job, stop, stopwatch)
        trainer = Trainer(job, stop, stopwatch)
        with job.claim_folder():
            best_epoch = trainer.fit()
    return TrainedNetwork(job, best_epoch) if job.distribution.is_chief else None


class Trainer:
    """Trains the network of a job from its start, or its last checkpoint, to the end.

    Each stage of the job has a network for its image size, into which the training
    state is carried over as a resumed run restores it. callbacks: in their order; the
    last one is `state`.
    """

    def __init__(
        self, job: TrainingJob, stop: StopRequest, stopwatch: Stopwatch
    ) -> None:
        self.job, self._stop = job, stop
        config, folder, is_chief = job.config, job.folder, job.distribution.is_chief
        stage = partial(stage_at, config.stages)
        self._begin_stage(config.stages[0])
        self._copied = copy_initial_weights(job, self.classifier.network)
        heads = self.classifier.heads
        self._watch = _watch_learning(job, heads)
        images = job.dataset.validation.count
        save = self._save if is_chief else None
        self._saved = callbacks.SaveLast(save, images, stage)
        learning: dict[str, callbacks.StatefulCallback] = {"learning": self._watch}
        if config.average_epochs:
            horizon = config.average_epochs * job.steps_per_epoch
            learning["average"] = AverageWeights(horizon)
        if config.patience:
            learning["patience"] = Patience(
                config.patience, config.epochs, job.steps_per_epoch, logs=is_chief
            )
        parts = {**learning, "best": self._saved}
        self.state = TrainingState(job, parts, stop, stopwatch)
        self.callbacks = [*learning.values(), self._saved, self.state]
        on_terminal = sys.stdout.isatty() or "ipykernel" in sys.modules
        self._has_bar = is_chief and on_terminal
        if is_chief:
            metrics = callbacks.WriteMetrics(
                folder.metrics, heads, config.batch_size, stage
            )
            events = callbacks.WriteEvents(folder.tensorboard, write_graph=False)
            progress = (
                callbacks.ProgressBar(config.batch_size)
                if on_terminal
                else callbacks.LogEpochs(config.stages, lambda: self.state.last_epoch)
            )
            self.callbacks[-2:] = [metrics, self._saved, events, progress, self.state]
        self._soft_targets = [
            SoftTargets.from_config(config, job.dataset, x) for x in job.teachers
        ]

    def fit(self) -> int:
        """Trains to the end; returns the epoch that is saved, counted from 1.

        Raises UserError if the network does not learn, an image cannot be read any more
        or a teacher cannot answer, InterruptionError after a signal.
        """
        job, state = self.job, self.state
        if job.distribution.is_chief:
            self._log_start()
        if job.resumed:
            state.resume()
        with self._explain_failures():
            self._prepare_soft_targets()
            while state.epoch < state.last_epoch:
                self._fit_segment()
        self._check_stop()
        self._watch.warn()
        if state.last_epoch < job.config.epochs and job.distribution.is_chief:
            log.info(
                f"ended after {state.epoch} of {job.config.epochs} epochs: no better "
                f"validation loss within --patience {job.config.patience}"
            )
        return self._saved.best_epoch

    def time_epoch(self, seconds: float) -> Clock:
        """Trains for about `seconds` and validates, without checkpoints.

        Afterward the network is of no use. Raises UserError.
        """
        clock, data = Clock(seconds), self.job.dataset
        kinds = (callbacks.WatchLearning, AverageWeights, callbacks.SaveLast)
        parts = [part for part in self.callbacks if isinstance(part, kinds)]
        planned = self.job.config.epochs * self.job.steps_per_epoch
        with (
            pipeline.explain_unreadable(data.train),
            pipeline.explain_unreadable(data.validation),
            self._explain_failures(),
        ):
            steps = min(WARMUP_STEPS + MAX_MEASURED_STEPS, planned)
            self._fit((0, 0), 1, steps, [*parts, clock])
        return clock

    def _log_start(self) -> None:
        labels, validation = self.classifier.labels, self.job.dataset.validation
        if self._copied:
            log.info("weights of %s: %s", self.job.config.weights, self._copied)
        if counts := validation.class_counts:
            warn_of_missing_classes("validation", labels, counts)

    @contextmanager
    def _explain_failures(self) -> Iterator[None]:
        """Adds the way out to the errors that end a training."""
        job = self.job
        try:
            yield
        except (DiskError, pipeline.UnreadableImageError) as error:
            if not job.config.checkpoint_minutes:
                raise
            raise type(error)(f"{error} {resume_hint(job.folder)}") from error
        except memory.FAILED_STEP_ERRORS as error:
            of_memory = isinstance(error, memory.OUT_OF_MEMORY_ERRORS)
            if job.distribution.workers > 1 and not of_memory:
                raise  # a worker was lost
            raise memory.batch_too_large_error(
                self.classifier.network, job.config, job.classes
            ) from error

    def _prepare_soft_targets(self) -> None:
        """Computes the teachers' answers that are not in the cache yet.

        The chief comes first, whose cache other workers may share.
        """
        distribution = self.job.distribution
        epochs = range(self.state.epoch, self.job.config.epochs)
        for targets in self._soft_targets:
            if distribution.is_chief:
                targets.prepare(epochs, self._check_stop)
            if distribution.workers > 1:
                distribution.maximum(0)  # waits for all
            if not distribution.is_chief:
                targets.prepare(epochs, self._check_stop, logging.DEBUG)

    def _check_stop(self) -> None:
        """Raises InterruptionError after a signal."""
        if self._stop.signal_number:
            message, number = self.state.stop_message(), self._stop.signal_number
            raise InterruptionError(message, number)

    def _fit_segment(self) -> None:
        """Finishes a begun epoch, or else its stage; rolls back a bad step.

        It ends early where patience runs out, which changes where the end is.
        """
        epoch, step = self.state.epoch, self.state.step
        stage = stage_at(self.job.config.stages, epoch)
        if stage != self._stage:
            self._change_stage(stage)
        epochs = epoch + 1 if step else min(stage.end, self.state.last_epoch)
        try:
            steps = self.job.steps_per_epoch - step
            self._fit((epoch, step), epochs, steps, self.callbacks)
        except callbacks.NonFiniteLossError as error:
            self.state.roll_back(error)
        except pipeline.UNREADABLE_ERRORS as error:
            self._check_files(error)
            raise

    def _fit(
        self,
        start: tuple[int, int],
        epochs: int,
        steps: int,
        parts: Sequence[keras.callbacks.Callback],
    ) -> None:
        """Calls fit from `start` (epoch, step) on, with `steps` in each epoch."""
        job, heads = self.job, self.classifier.heads
        make = partial(
            training_batches,
            *(job.config, job.dataset, heads, start),
            soft_targets=mean_of(self._soft_targets),
        )
        self.classifier.network.fit(
            job.distribution.distribute(make),
            validation_data=self._validation,
            validation_steps=job.distribution.shard.evaluation_steps(
                job.dataset.validation.count, pipeline.EVALUATION_BATCH_SIZE
            ),
            initial_epoch=start[0],
            epochs=epochs,
            steps_per_epoch=steps,
            shuffle=False,  # the batches are shuffled already; True would only warn
            verbose=int(self._has_bar),
            callbacks=list(parts),
        )

    def _change_stage(self, stage: Stage) -> None:
        """Goes over to another image size, with the training state as it is."""
        self.state.carry_over()
        self._begin_stage(stage)
        if self.job.distribution.is_chief:
            size = describe_size(stage.size)
            with suppress(BrokenPipeError):  # the reader has left; the run continues
                log.info("images of %s px from epoch %d on", size, stage.start + 1)

    def _begin_stage(self, stage: Stage) -> None:
        """Builds the network for a stage's image size, and its validation batches."""
        job, self._stage = self.job, stage
        self.classifier = classifier = new_classifier(job, stage.size)
        self._validation = job.distribution.distribute(
            lambda shard: pipeline.evaluation_batches(
                job.dataset.validation,
                classifier.preprocessing,
                heads=classifier.heads,
                shard=shard,
            )
        )

    def _save(self) -> None:
        self.classifier.save(self.job.folder.classifier)

    def _check_files(self, cause: Exception) -> None:
        """Raises UserError, from `cause`, if a file is what stopped the training."""
        config, state, dataset = self.job.config, self.state, self.job.dataset
        for targets in self._soft_targets:
            targets.check(range(state.epoch, config.epochs), cause)
        if config.cache == "none":
            for split, numbers in self.job.step_images(state.epoch, state.step):
                pipeline.check_whole(split, numbers if split.files else (), cause)
        validation = dataset.validation
        pipeline.check_whole(validation, range(len(validation.files)), cause)
        if config.cache == "disk":
            raise damaged_copy_error() from cause


def _plan_epochs(
    job: TrainingJob, stop: StopRequest, stopwatch: Stopwatch
) -> TrainingJob:
    """`job` with as many epochs as fit into --minutes, of which some are spent."""
    config = job.config
    pace = _measure_pace(job, stop)
    gc.collect()  # a GPU's memory, which the run's own network needs
    keras.utils.set_random_seed(config.seed)
    left = 60 * config.minutes - stopwatch.spent()["seconds"]
    epochs = pace.epochs_within(left, job.steps_per_epoch, job.dataset)
    each = f"of about {pace.epoch(job.steps_per_epoch):.1f} seconds"
    if epochs:
        log.info("%d epochs %s fit into %g minutes", epochs, each, config.minutes)
    else:
        log.warning("no epoch %s fits into %g minutes: one", each, config.minutes)
    return replace(job, config=replace(config, epochs=max(epochs, 1)))


def _measure_pace(job: TrainingJob, stop: StopRequest) -> Pace:
    """Trains a network of its own for a moment; the run's is as with --epochs then."""
    stopwatch = Stopwatch()
    with TemporaryDirectory() as folder:
        probe = Trainer(replace(job, folder=RunFolder(folder)), stop, stopwatch)
        probe.time_epoch(0.0)
        first = stopwatch.spent()["seconds"]
        clock = probe.time_epoch(MEASURED_FRACTION * 60 * job.config.minutes)
    return Pace(first - clock.epoch_end, clock.step, clock.epoch_end)


def _watch_learning(
    job: TrainingJob, heads: tuple[str, ...]
) -> callbacks.WatchLearning:
    config = job.config
    balanced = config.class_weights == "balanced"  # then every class counts alike
    counts = None if balanced else job.dataset.train.class_counts
    chance = callbacks.chance_level(counts, job.classes, config.label_smoothing)
    warmup = warmup_steps(config, job.steps_per_epoch)
    return callbacks.WatchLearning(chance, warmup, heads)
