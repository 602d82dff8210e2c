"""Trains the network of a job, and leaves its best epoch in the run folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial

import tensorflow as tf

from googlenet_keras import machine
from googlenet_keras.architecture.arithmetic import height_and_width
from googlenet_keras.classifier import Classifier
from googlenet_keras.data import pipeline
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import DiskError, InterruptionError
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training import callbacks, memory, transfer
from googlenet_keras.training.input_pipeline import training_batches
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.model import build_and_compile, separate_dropout_seeds
from googlenet_keras.training.optimizer import AverageWeights, warmup_steps
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.precision import precision_policy
from googlenet_keras.training.signals import StopRequest, graceful_stop
from googlenet_keras.training.training_state import Segment, TrainingState, resume_hint

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedNetwork:
    """The result of training; the best epoch is in the run folder."""

    job: TrainingJob
    best_epoch: int

    @cached_property
    def classifier(self) -> Classifier:
        """The Classifier of the best epoch."""
        return Classifier.load(self.job.folder.classifier)


def train_network(
    config: TrainConfig,
    stopwatch: Stopwatch | None = None,
    find_weights: transfer.WeightsFinder | None = None,
) -> TrainedNetwork | None:
    """Trains as `config` says, without a final evaluation.

    The run folder gets config.json, environment.json, metrics.jsonl, tensorboard/,
    checkpoints/ and classifier/, the best epoch by validation main top-1. stopwatch:
    gets what the earlier parts of a resumed run have spent. find_weights: as in
    TrainingJob.from_config. Of several workers only the chief writes and logs; the
    others get None. Raises UserError, if possible before the folder is made, and
    InterruptionError after a signal.
    """
    job = TrainingJob.from_config(config, find_weights)
    with (
        precision_policy(job.config.precision),
        job.distribution.explain_lost_worker(job.folder.path),
        graceful_stop() as stop,
    ):
        job.check_agreement()
        trainer = Trainer(job, stop, stopwatch or Stopwatch())
        with job.claim_folder():
            best_epoch = trainer.fit()
    return TrainedNetwork(job, best_epoch) if job.distribution.is_chief else None


class Trainer:
    """Trains the network of a job from its start, or its last checkpoint, to the end.

    callbacks: in their order; the last one is `state`.
    """

    def __init__(
        self, job: TrainingJob, stop: StopRequest, stopwatch: Stopwatch
    ) -> None:
        self.job, self._stop = job, stop
        self.classifier = _new_classifier(job)
        self._watch = _watch_learning(job, self.classifier.heads)
        self._best = callbacks.SaveBest(self._save)
        parts: dict[str, callbacks.StatefulCallback] = {"learning": self._watch}
        if job.config.average_epochs:
            horizon = job.config.average_epochs * job.steps_per_epoch
            parts["average"] = AverageWeights(horizon)
        parts["best"] = self._best
        self.state = TrainingState(job, parts, stop, stopwatch)
        self.callbacks = [*parts.values(), self.state]
        if job.distribution.is_chief:
            self._add_reports()
        self._validation = job.distribution.distribute(self._validation_batches)

    def fit(self) -> int:
        """Trains to the end; returns the best epoch, counted from 1.

        Raises UserError if the network does not learn, InterruptionError after a
        signal.
        """
        if self.job.resumed:
            self._resume()
        with self._explain_errors():
            while not self._fit_until_rollback():
                self._check_progress()
        if self._stop.signal_number:
            raise InterruptionError(self.state.stop_message(), self._stop.signal_number)
        self._watch.warn()
        return self._best.best_epoch

    def _resume(self) -> None:
        """Restores the newest checkpoint, if there is one."""
        is_chief, state = self.job.distribution.is_chief, self.state
        if is_chief:
            self.job.folder.remove_unfinished_files()
        found = state.read()
        self._check_progress()
        if found and is_chief:
            log.info(
                f"resuming after {state.epoch} epochs and {state.step} of "
                f"{self.job.steps_per_epoch} steps"
            )

    def _check_progress(self) -> None:
        """Raises UserError unless all workers have done the same steps."""
        self.job.distribution.check_agreement(
            {"epochs done": self.state.epoch, "steps done": self.state.step}
        )

    def _fit_until_rollback(self) -> bool:
        """Trains until the end (True) or until a rollback (False)."""
        try:
            for segment in self.state.segments():
                self._fit_segment(segment)
        except callbacks.NonFiniteLossError as error:
            files = pipeline.batch_files(
                self.job.dataset.train,
                batch_size=self.job.config.batch_size,
                seed=self.job.config.seed,
                epoch=self.state.epoch,
                step=self.state.step,
            )
            self.state.roll_back(error, files)
            return False
        return True

    def _fit_segment(self, segment: Segment) -> None:
        job, heads = self.job, self.classifier.heads
        make = partial(training_batches, job.config, job.dataset, heads, segment.start)
        self.classifier.network.fit(
            job.distribution.distribute(make),
            validation_data=self._validation,
            validation_steps=job.distribution.shard.evaluation_steps(
                job.dataset.validation.count, pipeline.EVALUATION_BATCH_SIZE
            ),
            initial_epoch=segment.start[0],
            epochs=segment.epochs,
            steps_per_epoch=segment.steps,
            shuffle=False,  # the batches are shuffled already; True would only warn
            verbose=1 if self._has_bar else 0,
            callbacks=self.callbacks,
        )

    @contextmanager
    def _explain_errors(self) -> Iterator[None]:
        """Adds the remedy to errors about a full disk or full memory."""
        job = self.job
        try:
            yield
        except DiskError as error:
            if not job.config.checkpoint_minutes:
                raise
            raise DiskError(f"{error} {resume_hint(job.folder)}") from error
        except memory.FAILED_STEP_ERRORS as error:
            of_memory = isinstance(error, memory.OUT_OF_MEMORY_ERRORS)
            if job.distribution.workers > 1 and not of_memory:
                raise  # a worker was lost
            raise memory.batch_too_large_error(
                self.classifier.network, job.config, job.classes
            ) from error

    def _add_reports(self) -> None:
        """Adds the callbacks that write metrics; WriteMetrics runs before SaveBest."""
        config, folder = self.job.config, self.job.folder
        metrics = callbacks.WriteMetrics(
            folder.metrics, self.classifier.heads, config.batch_size
        )
        self.callbacks[-2:-2] = [metrics]
        self.callbacks[-1:-1] = [
            callbacks.WriteEvents(folder.tensorboard, write_graph=False),
            callbacks.progress_callback(config.batch_size, config.epochs),
        ]

    @property
    def _has_bar(self) -> bool:
        return any(isinstance(c, callbacks.ProgressBar) for c in self.callbacks)

    def _save(self) -> None:
        if self.job.distribution.is_chief:
            self.classifier.save(self.job.folder.classifier)

    def _validation_batches(self, shard: pipeline.Shard) -> tf.data.Dataset:
        return pipeline.evaluation_batches(
            self.job.dataset.validation,
            self.classifier.preprocessing,
            heads=self.classifier.heads,
            shard=shard,
        )


def _new_classifier(job: TrainingJob) -> Classifier:
    """Builds the Classifier to train, with its initial or pretrained weights."""
    config, distribution, labels = job.config, job.distribution, job.dataset.class_names
    distribution.check_batch_size(config.batch_size)
    with distribution.strategy.scope():
        network = build_and_compile(config, job.classes, job.steps_per_epoch)
        copied = transfer.copy_weights(network, job.start, labels) if job.start else ""
    if copied and distribution.is_chief:
        log.info("weights of %s: %s", config.weights, copied)
    separate_dropout_seeds(network, distribution.first_replica)
    provenance = {
        "trained_on": job.dataset.name,
        "training_images": job.dataset.train.count,
        "recipe": str(config.recipe),
        "seed": config.seed,
        "started_from": config.weights,
        "commit": machine.commit(),
    }
    size = height_and_width(config.image_size)
    preprocessing = Preprocessing(*size, config.crop_fraction)
    return Classifier(network, job.architecture, preprocessing, labels, provenance)


def _watch_learning(
    job: TrainingJob, heads: tuple[str, ...]
) -> callbacks.WatchLearning:
    config = job.config
    balanced = config.class_weights == "balanced"  # then every class counts alike
    counts = None if balanced else job.dataset.train.class_counts
    chance = callbacks.chance_level(counts, job.classes, config.label_smoothing)
    warmup = warmup_steps(config, job.steps_per_epoch)
    return callbacks.WatchLearning(chance, warmup, heads)
