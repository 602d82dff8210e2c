"""Trains the network of a job, and leaves it in the run folder."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial

import keras

from googlenet_keras.classifier import Classifier
from googlenet_keras.data import pipeline
from googlenet_keras.data.cache import damaged_copy_error
from googlenet_keras.data.dataset import Split, warn_of_missing_classes
from googlenet_keras.errors import DiskError, InterruptionError
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training import callbacks, memory, transfer
from googlenet_keras.training.initial_network import (
    copy_initial_weights,
    new_classifier,
)
from googlenet_keras.training.input_pipeline import training_batches
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.model import AdaptModel
from googlenet_keras.training.optimizer import AverageWeights, warmup_steps
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.patience import Patience
from googlenet_keras.training.planning import plan_epochs
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
    adapt: AdaptModel | None = None,
) -> TrainedNetwork | None:
    """Trains as `config` says, without a final evaluation.

    The run folder gets config.json, environment.json, metrics.jsonl, tensorboard/,
    checkpoints/ and classifier/, as of the last epoch that is not clearly worse than an
    earlier one (SaveLast). stopwatch: gets what the earlier parts of a resumed run have
    spent. find_weights: as in TrainingJob.from_config. adapt: as in build_and_compile.
    Of several workers only the chief writes and logs; the others get None. Raises
    UserError, if possible before the folder is made, and InterruptionError after a
    signal.
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
            make_probe = partial(Trainer, stop=stop, stopwatch=stopwatch, adapt=adapt)
            job = plan_epochs(job, make_probe, stopwatch)
        trainer = Trainer(job, stop, stopwatch, adapt)
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
        self,
        job: TrainingJob,
        stop: StopRequest,
        stopwatch: Stopwatch,
        adapt: AdaptModel | None = None,
    ) -> None:
        self.job, self._stop, self._adapt = job, stop, adapt
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
        parts = {**learning, "best": self._saved}
        if config.patience:
            parts["patience"] = Patience(
                config.patience, config.epochs, job.steps_per_epoch, logs=is_chief
            )
        self.state = TrainingState(job, parts, stop, stopwatch)
        # patience changes the learning rate, which the others record before
        last = [part for part in parts.values() if isinstance(part, Patience)]
        self.callbacks = [*learning.values(), self._saved, *last, self.state]
        on_terminal = sys.stdout.isatty() or "ipykernel" in sys.modules
        self._has_bar = is_chief and on_terminal
        if is_chief:
            metrics = callbacks.WriteMetrics(
                folder.metrics, heads, config.batch_size, stage
            )
            events = callbacks.WriteEvents(folder.tensorboard, write_graph=False)
            before, after = [*learning.values(), metrics], [events, self._progress()]
            self.callbacks = [*before, self._saved, *after, *last, self.state]
        self._soft_targets = [
            SoftTargets.from_config(config, job.dataset, x) for x in job.teachers
        ]
        self._answered_epochs = 0  # those before have the teachers' answers

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
            while state.epoch < state.last_epoch:
                self._prepare_soft_targets()
                self._fit_segment()
        self._check_stop()
        self._watch.warn()
        if state.last_epoch < job.config.epochs and job.distribution.is_chief:
            with suppress(BrokenPipeError):  # the reader has left
                log.info(
                    f"ended after {state.epoch} of {job.config.epochs} epochs: no "
                    f"better validation loss within --patience {job.config.patience}"
                )
        return self._saved.best_epoch

    def fit_first_epoch(
        self, steps: int, parts: Sequence[keras.callbacks.Callback]
    ) -> None:
        """Trains one epoch of `steps` steps with the callbacks `parts`, and validates.

        With more steps than an epoch of the run has, the images of the next ones
        follow. There are no checkpoints. Raises UserError.
        """
        dataset = self.job.dataset
        try:
            with self._explain_memory():
                self._fit((0, 0), 1, steps, parts)
        except pipeline.UNREADABLE_ERRORS as error:
            splits = [split for split in (dataset.train, dataset.none) if split]
            self._check_files([(x, range(x.count)) for x in splits], error)
            raise

    def _progress(self) -> keras.callbacks.Callback:
        """A progress bar on a terminal, or else lines of text."""
        config, steps, state = self.job.config, self.job.steps_per_epoch, self.state
        if self._has_bar:
            return callbacks.ProgressBar(config.batch_size, lambda: state.last_epoch)
        return callbacks.LogEpochs(
            config.stages, steps, lambda: state.last_epoch, lambda: state.step
        )

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
            with self._explain_memory():
                yield
        except (DiskError, pipeline.UnreadableImageError) as error:
            if not job.config.checkpoint_minutes:
                raise
            raise type(error)(f"{error} {resume_hint(job.folder)}") from error

    @contextmanager
    def _explain_memory(self) -> Iterator[None]:
        """Says what to do about a step that does not fit into memory."""
        job = self.job
        try:
            yield
        except memory.FAILED_STEP_ERRORS as error:
            of_memory = isinstance(error, memory.OUT_OF_MEMORY_ERRORS)
            if job.distribution.workers > 1 and not of_memory:
                raise  # a worker was lost
            raise memory.batch_too_large_error(
                self.classifier.network, job.config, job.classes
            ) from error

    def _prepare_soft_targets(self) -> None:
        """Computes the teachers' answers that are not in the cache yet.

        They are those of the epochs that are trained in any case; with patience more
        may follow. The chief comes first, whose cache other workers may share.
        """
        distribution, state = self.job.distribution, self.state
        epochs = range(max(state.epoch, self._answered_epochs), state.certain_epochs)
        if not (epochs and self._soft_targets):
            return
        for targets in self._soft_targets:
            if distribution.is_chief:
                targets.prepare(epochs, self._check_stop)
            if distribution.workers > 1:
                distribution.maximum(0)  # waits for all
            if not distribution.is_chief:
                targets.prepare(epochs, self._check_stop, logging.DEBUG)
        self._answered_epochs = epochs.stop

    def _check_stop(self) -> None:
        """Raises InterruptionError after a signal."""
        if self._stop.signal_number:
            message, number = self.state.stop_message(), self._stop.signal_number
            raise InterruptionError(message, number)

    def _fit_segment(self) -> None:
        """Finishes a begun epoch, or else its stage; rolls back a bad step.

        It ends early where patience runs out, which changes where the end is, and where
        more answers of the teachers are needed.
        """
        state, epoch, step = self.state, self.state.epoch, self.state.step
        stage = stage_at(self.job.config.stages, epoch)
        if stage != self._stage:
            self._change_stage(stage)
        epochs = epoch + 1 if step else min(stage.end, state.last_epoch)
        if self._soft_targets:
            epochs = min(epochs, self._answered_epochs)
        try:
            steps = self.job.steps_per_epoch - step
            self._fit((epoch, step), epochs, steps, self.callbacks)
        except callbacks.NonFiniteLossError as error:
            state.roll_back(error)
        except pipeline.UNREADABLE_ERRORS as error:
            for targets in self._soft_targets:
                targets.check(range(state.epoch, self._answered_epochs), error)
            self._check_files(self.job.step_images(state.epoch, state.step), error)
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
            end=self._answered_epochs if self._soft_targets else None,
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
        self.classifier = classifier = new_classifier(job, stage.size, self._adapt)
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

    def _check_files(
        self, images: Sequence[tuple[Split, Sequence[int]]], cause: Exception
    ) -> None:
        """Raises UserError, from `cause`, if a file is what stopped the training.

        images: those that may have been read, as `TrainingJob.step_images` has them.
        """
        config, dataset = self.job.config, self.job.dataset
        if config.cache == "none":
            for split, numbers in images:
                pipeline.check_whole(split, numbers if split.files else (), cause)
        validation = dataset.validation
        pipeline.check_whole(validation, range(len(validation.files)), cause)
        if config.cache == "disk":
            raise damaged_copy_error() from cause


def _watch_learning(
    job: TrainingJob, heads: tuple[str, ...]
) -> callbacks.WatchLearning:
    config = job.config
    balanced = config.class_weights == "balanced"  # then every class counts alike
    counts = None if balanced else job.dataset.train.class_counts
    none = job.none_count / (config.batch_size + job.none_count)
    chance = callbacks.chance_level(counts, job.classes, config.label_smoothing, none)
    warmup = warmup_steps(config, job.steps_per_epoch)
    return callbacks.WatchLearning(chance, warmup, heads)
