"""One training run, from options to a Classifier."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras

from googlenet_keras.classifier import Classifier
from googlenet_keras.data import pipeline
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.errors import DiskError, InterruptionError
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training import callbacks as watch
from googlenet_keras.training import (
    distribution,
    job,
    memory,
    precision,
    signals,
    transfer,
    watching,
)
from googlenet_keras.training.distribution import Distribution
from googlenet_keras.training.flags import FREE, begun_with, kept
from googlenet_keras.training.input_pipeline import training_batches
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.planning import Plan, planned
from googlenet_keras.training.replicated import separate_dropout_seeds
from googlenet_keras.training.resume import BEST, Continuation, how_to_go_on


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, data and options, and the best Classifier."""

    folder: Path
    dataset: Dataset
    config: TrainConfig
    classifier: Classifier
    best_epoch: int

    @property
    def way_on(self) -> str:
        """What to do where its result was not reached."""
        if not self.config.checkpoint_minutes:
            return f"The classifier is in {self.folder}."
        return how_to_go_on(self.folder)


def train(
    config: TrainConfig,
    stopwatch: Stopwatch | None = None,
    find: transfer.Find | None = None,
) -> Run | None:
    """Trains as `config` says and leaves a run folder behind.

    The folder has config.json, environment.json, metrics.jsonl, tensorboard/,
    checkpoints/ and classifier/, the best by validation main top-1. stopwatch: takes on
    what an earlier part of a resumed run has spent. find: gives the folder of the
    Classifier that config.weights stands for; none: it is the folder. Of several
    workers the first alone writes and prints; the others get None. Raises UserError for
    what a user can mend, before the folder is made where that can be known, for a run
    that does not learn and for a worker that is lost; InterruptionError where a signal
    asked to stop.
    """
    job.check(config)
    if config.batch_size == "auto":
        memory.grow_gpu_memory_on_demand()
    team = distribution.start_distribution(config.strategy)
    keras.utils.set_random_seed(config.seed)
    begun = is_begun(config)
    if begun:
        config = kept(begun_with(TrainConfig, config.run_folder), config, FREE)
    elif config.run_folder and team.is_chief:
        RunFolder(config.run_folder).refuse_existing(config.resume)
    dataset = job.opened(config)
    config, old = transfer.opened(config, find, begun)
    config, reason = job.settled(config, dataset)
    with (
        precision.precision_policy(config.precision),
        team.explain_lost_worker(config.run_folder),
        signals.graceful_stop() as stop,
    ):
        team.check_agreement(
            {"begun": begun, "weights": transfer.digest(old)}
            | job.shared(config, dataset)
        )
        plan = planned(config, dataset, team, old)
        if team.is_chief:
            _say(config, reason, team)
        folder = job.kept_folder(config, reason, begun)
        with folder if team.is_chief else nullcontext():
            best = _fit(config, dataset, plan, begun, stop, stopwatch or Stopwatch())
    if not team.is_chief:
        return None
    loaded = Classifier.load(RunFolder(config.run_folder).classifier)
    return Run(config.run_folder, dataset, config, loaded, best.best_epoch)


def is_begun(config: TrainConfig) -> bool:
    """Whether there is something that --resume can go on with."""
    return config.resume and RunFolder(config.run_folder).is_started


def _say(config: TrainConfig, reason: str, team: Distribution) -> None:
    print(f"precision {config.precision}: {reason}")
    if team.name != "none":
        print(team.describe(config.batch_size, config.learning_rate))


def _fit(
    config: TrainConfig,
    dataset: Dataset,
    plan: Plan,
    begun: bool,
    stop: signals.StopRequest,
    stopwatch: Stopwatch,
) -> watch.SaveBest:
    """Trains from where the run stands to its end."""
    watchers = watching.watchers(
        config, dataset, plan.classifier, plan.steps, plan.team.is_chief
    )
    continuation = _continuation(config, dataset, plan, watchers, stop, stopwatch)
    if begun:
        _go_on(continuation, config.run_folder, plan)
    callbacks = [*watchers.values(), continuation]
    with _explained(config, dataset, plan):
        while not _reached_end(config, dataset, plan, continuation, callbacks):
            plan.team.check_agreement(
                {"epochs done": continuation.epoch, "steps done": continuation.step}
            )
    if stop.signal_number:
        raise InterruptionError(continuation.stopped(), stop.signal_number)
    watchers["learning"].warn()
    return watchers[BEST]


def _continuation(
    config: TrainConfig,
    dataset: Dataset,
    plan: Plan,
    watchers: dict[str, keras.callbacks.Callback],
    stop: signals.StopRequest,
    stopwatch: Stopwatch,
) -> Continuation:
    network, team = plan.classifier.network, plan.team
    return Continuation(
        config.run_folder,
        {part: watchers[part] for part in watching.STATEFUL if part in watchers},
        steps=plan.steps,
        minutes=config.checkpoint_minutes,
        stop=stop,
        stopwatch=stopwatch,
        data={
            "images": dataset.train.count,
            "fingerprint": job.fingerprint(dataset),
            "epochs": config.epochs,
        },
        writes=team.is_chief,
        restored=lambda: separate_dropout_seeds(network, team.first_replica),
        agreed=team.maximum if team.workers > 1 else None,
    )


def _reached_end(
    config: TrainConfig,
    dataset: Dataset,
    plan: Plan,
    continuation: Continuation,
    callbacks: list[keras.callbacks.Callback],
) -> bool:
    """Trains from where the run stands; whether to its end, or back to a checkpoint."""
    network, team, heads = plan.classifier.network, plan.team, plan.classifier.heads
    try:
        for piece in continuation.pieces(config.epochs):
            network.fit(
                team.distribute(
                    partial(training_batches, config, dataset, heads, piece.start)
                ),
                validation_data=plan.validation,
                validation_steps=team.shard.evaluation_steps(
                    dataset.validation.count, pipeline.EVALUATION_BATCH
                ),
                initial_epoch=piece.start[0],
                epochs=piece.epochs,
                steps_per_epoch=piece.steps,
                shuffle=False,  # they are already; True would only warn
                verbose="auto" if team.is_chief else 0,
                callbacks=callbacks,
            )
    except watch.NonFiniteLossError as error:
        files = pipeline.batch_files(
            dataset.train,
            batch_size=config.batch_size,
            seed=config.seed,
            epoch=continuation.epoch,
            step=continuation.step,
        )
        continuation.roll_back(error, files)
        return False
    return True


@contextmanager
def _explained(config: TrainConfig, dataset: Dataset, plan: Plan) -> Iterator[None]:
    """Says what can be done about a disk or a memory that is full."""
    try:
        yield
    except DiskError as error:
        if not config.checkpoint_minutes:
            raise
        raise DiskError(f"{error} {how_to_go_on(config.run_folder)}") from error
    except memory.FAILED_STEP_ERRORS as error:
        if plan.team.workers > 1 and not isinstance(error, memory.OUT_OF_MEMORY_ERRORS):
            raise  # a worker is gone
        raise memory.batch_too_large_error(
            plan.classifier.network, config, len(dataset.class_names)
        ) from error


def _go_on(continuation: Continuation, folder: Path, plan: Plan) -> None:
    if plan.team.is_chief:
        RunFolder(folder).remove_unfinished_files()
    found = continuation.read()
    plan.team.check_agreement(
        {"epochs done": continuation.epoch, "steps done": continuation.step}
    )
    if found and plan.team.is_chief:
        print(
            f"going on after {continuation.epoch} epochs and "
            f"{continuation.step} of {plan.steps} steps"
        )
