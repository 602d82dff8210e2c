"""Trains the network of a job, and leaves it in the run folder."""

import logging
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial

import keras

from googlenet_keras import machine
from googlenet_keras.classifier import Classifier
from googlenet_keras.data import pipeline
from googlenet_keras.data.cache import damaged_copy_error
from googlenet_keras.data.dataset import warn_of_missing_classes
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
        trainer = Trainer(job, stop, stopwatch or Stopwatch())
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
        _copy_start(job, self.classifier.network)
        heads, labels = self.classifier.heads, job.dataset.class_names
        self._watch = _watch_learning(job, heads)
        images = job.dataset.validation.count
        save = self._save if is_chief else None
        self._saved = callbacks.SaveLast(save, images, stage)
        learning: dict[str, callbacks.StatefulCallback] = {"learning": self._watch}
        if config.average_epochs:
            horizon = config.average_epochs * job.steps_per_epoch
            learning["average"] = AverageWeights(horizon)
        parts = {**learning, "best": self._saved}
        self.state = TrainingState(job, parts, stop, stopwatch)
        self.callbacks = [*learning.values(), self._saved, self.state]
        on_terminal = sys.stdout.isatty() or "ipykernel" in sys.modules
        self._has_bar = is_chief and on_terminal
        if is_chief:
            if counts := job.dataset.validation.class_counts:
                warn_of_missing_classes("validation", labels, counts)
            metrics = callbacks.WriteMetrics(
                folder.metrics, heads, config.batch_size, stage
            )
            events = callbacks.WriteEvents(folder.tensorboard, write_graph=False)
            progress = (
                callbacks.ProgressBar(config.batch_size)
                if on_terminal
                else callbacks.LogEpochs(config.stages)
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
        if job.resumed:
            state.resume()
        try:
            self._prepare_soft_targets()
            while state.epoch < job.config.epochs:
                self._fit_segment()
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
        self._check_stop()
        self._watch.warn()
        return self._saved.best_epoch

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
        """Finishes a begun epoch, or else its stage; rolls back a bad step."""
        job, heads = self.job, self.classifier.heads
        epoch, step = self.state.epoch, self.state.step
        stage = stage_at(job.config.stages, epoch)
        if stage != self._stage:
            self._change_stage(stage)
        make = partial(
            training_batches,
            *(job.config, job.dataset, heads, (epoch, step)),
            soft_targets=mean_of(self._soft_targets),
        )
        try:
            self.classifier.network.fit(
                job.distribution.distribute(make),
                validation_data=self._validation,
                validation_steps=job.distribution.shard.evaluation_steps(
                    job.dataset.validation.count, pipeline.EVALUATION_BATCH_SIZE
                ),
                initial_epoch=epoch,
                epochs=epoch + 1 if step else stage.end,
                steps_per_epoch=job.steps_per_epoch - step,
                shuffle=False,  # the batches are shuffled already; True would only warn
                verbose=int(self._has_bar),
                callbacks=self.callbacks,
            )
        except callbacks.NonFiniteLossError as error:
            self.state.roll_back(error)
        except pipeline.UNREADABLE_ERRORS as error:
            self._check_files(error)
            raise

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
        self.classifier = classifier = _new_classifier(job, stage.size)
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


def _new_classifier(job: TrainingJob, image_size: tuple[int, int]) -> Classifier:
    """Builds the Classifier to train, with its initial weights."""
    config, distribution = job.config, job.distribution
    distribution.check_batch_size(config.batch_size)
    with distribution.strategy.scope():
        network = build_and_compile(
            config, job.classes, job.steps_per_epoch, image_size
        )
    separate_dropout_seeds(network, distribution.first_replica)
    provenance = {
        "trained_on": job.dataset.name,
        "training_images": job.dataset.train.count,
        "none_pictures": job.dataset.none.count if job.dataset.none else 0,
        "recipe": str(config.recipe),
        "seed": config.seed,
        "started_from": config.weights,
        "teachers": [
            {"folder": str(teacher.folder), "digest": teacher.digest}
            for teacher in job.teachers
        ],
        "commit": machine.commit(),
    }
    preprocessing = Preprocessing(*image_size, config.crop_fraction)
    labels = job.dataset.class_names
    return Classifier(network, config.network, preprocessing, labels, provenance)


def _copy_start(job: TrainingJob, network: keras.Model) -> None:
    """Copies the weights that the job starts from, if there are any."""
    if not job.start:
        return
    with job.distribution.strategy.scope():
        copied = transfer.copy_weights(network, job.start, job.dataset.class_names)
    if job.distribution.is_chief:
        log.info("weights of %s: %s", job.config.weights, copied)


def _watch_learning(
    job: TrainingJob, heads: tuple[str, ...]
) -> callbacks.WatchLearning:
    config = job.config
    balanced = config.class_weights == "balanced"  # then every class counts alike
    counts = None if balanced else job.dataset.train.class_counts
    chance = callbacks.chance_level(counts, job.classes, config.label_smoothing)
    warmup = warmup_steps(config, job.steps_per_epoch)
    return callbacks.WatchLearning(chance, warmup, heads)
