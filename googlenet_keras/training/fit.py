"""One training run, from options to a Classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras import machine, records
from googlenet_keras.architecture.arithmetic import sides
from googlenet_keras.classifier import Classifier
from googlenet_keras.data import pipeline
from googlenet_keras.data.augmentation import Augmentation
from googlenet_keras.data.cache import cached
from googlenet_keras.data.regularization import Regularization
from googlenet_keras.data.splits import Dataset
from googlenet_keras.data.transforms import Preprocessing
from googlenet_keras.errors import DiskError
from googlenet_keras.training import callbacks as watch
from googlenet_keras.training import (
    device,
    distribution,
    memory,
    schedules,
    settings,
    signals,
)
from googlenet_keras.training.averaging import AverageWeights
from googlenet_keras.training.compiling import compiled
from googlenet_keras.training.config import TrainConfig
from googlenet_keras.training.continuation import (
    AVERAGE,
    BEST,
    Continuation,
    how_to_go_on,
)
from googlenet_keras.training.distribution import Team
from googlenet_keras.training.replicated import separate_dropout

STATEFUL = ("learning", AVERAGE, BEST)


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, data and options, and the best Classifier."""

    folder: Path
    dataset: Dataset
    config: TrainConfig
    classifier: Classifier
    best_epoch: int


@dataclass(frozen=True)
class _Plan:
    """What fit needs, made before anything is written."""

    classifier: Classifier
    steps: int
    validation: tf.data.Dataset | tf.distribute.DistributedDataset
    team: Team


def train(
    config: TrainConfig, stopwatch: machine.Stopwatch | None = None
) -> Run | None:
    """Trains as `config` says and leaves a run folder behind.

    The folder has config.json, environment.json, metrics.jsonl, tensorboard/,
    checkpoints/ and classifier/, the best by validation main top-1. stopwatch: takes on
    what an earlier part of a resumed run has spent. Of several workers the first alone
    writes and prints; the others get None. Raises UserError for what a user can mend,
    before the folder is made where that can be known, for a run that does not learn and
    for a worker that is lost; InterruptionError where a signal asked to stop.
    """
    settings.check(config)
    team = distribution.start(config.strategy)
    keras.utils.set_random_seed(config.seed)
    begun = is_begun(config)
    if config.run_folder and not begun and team.writes:
        records.refuse_existing(config.run_folder)
    dataset = settings.opened(config)
    config, reason = settings.settled(config, dataset)
    with (
        device.precision_policy(config.precision),
        team.watched(config.run_folder),
        signals.noticed() as stop,
    ):
        team.check_agreement({"begun": begun} | settings.shared(config, dataset))
        plan = _plan(config, dataset, team)
        if team.writes:
            _begin(config, reason, begun, team)
        with records.alone(config.run_folder) if team.writes else nullcontext():
            best = _fit(
                config, dataset, plan, begun, stop, stopwatch or machine.Stopwatch()
            )
    if not team.writes:
        return None
    loaded = Classifier.load(config.run_folder / records.CLASSIFIER)
    return Run(config.run_folder, dataset, config, loaded, best.best_epoch)


def is_begun(config: TrainConfig) -> bool:
    """Whether there is something that --resume can go on with."""
    return config.resume and (config.run_folder / records.CONFIG).is_file()


def _begin(config: TrainConfig, reason: str, begun: bool, team: Team) -> None:
    print(f"precision {config.precision}: {reason}")
    if team.name != "none":
        print(team.describe(config.batch_size, config.learning_rate))
    if not begun:
        records.create_run(config.run_folder)
        settings.write(config.run_folder, config, reason)
    print(f"run folder {config.run_folder}", flush=True)


def _fit(
    config: TrainConfig,
    dataset: Dataset,
    plan: _Plan,
    begun: bool,
    stop: signals.Stop,
    stopwatch: machine.Stopwatch,
) -> watch.SaveBest:
    """Trains from where the run stands to its end."""
    folder, network, team = config.run_folder, plan.classifier.network, plan.team
    heads = plan.classifier.heads
    watchers = _watchers(config, dataset, plan)
    continuation = Continuation(
        folder,
        {part: watchers[part] for part in STATEFUL if part in watchers},
        steps=plan.steps,
        minutes=config.checkpoint_minutes,
        stop=stop,
        stopwatch=stopwatch,
        data={"images": dataset.train.count, "classes": len(dataset.class_names),
              "epochs": config.epochs},
        writes=team.writes,
        restored=lambda: separate_dropout(network, team.first_replica),
        agreed=team.largest if team.workers > 1 else None,
    )  # fmt: skip
    if begun:
        _go_on(continuation, folder, plan)
    while True:
        try:
            for piece in continuation.pieces(config.epochs):
                network.fit(
                    team.batches(
                        partial(training_batches, config, dataset, heads, piece.start)
                    ),
                    validation_data=plan.validation,
                    validation_steps=team.share.evaluation_steps(
                        dataset.validation.count, pipeline.EVALUATION_BATCH
                    ),
                    initial_epoch=piece.start[0],
                    epochs=piece.epochs,
                    steps_per_epoch=piece.steps,
                    shuffle=False,  # they are already; True would only warn
                    verbose="auto" if team.writes else 0,
                    callbacks=[*watchers.values(), continuation],
                )
            return watchers[BEST]
        except DiskError as error:
            raise DiskError(f"{error} {how_to_go_on(folder)}") from error
        except memory.EXHAUSTED as error:
            if team.replicas > 1:
                raise
            classes = len(dataset.class_names)
            raise memory.too_large(network, config, classes) from error
        except watch.NonFiniteLossError as error:
            files = pipeline.batch_files(
                dataset.train,
                batch_size=config.batch_size,
                seed=config.seed,
                epoch=continuation.epoch,
                step=continuation.step,
            )
            continuation.roll_back(error, files)


def _go_on(continuation: Continuation, folder: Path, plan: _Plan) -> None:
    if plan.team.writes:
        records.remove_unfinished(folder)
    found = continuation.read()
    plan.team.check_agreement(
        {"epochs done": continuation.epoch, "steps done": continuation.step}
    )
    if found and plan.team.writes:
        print(
            f"going on after {continuation.epoch} epochs and "
            f"{continuation.step} of {plan.steps} steps"
        )


def _plan(config: TrainConfig, dataset: Dataset, team: Team) -> _Plan:
    steps = pipeline.steps_per_epoch(dataset.train, config.batch_size)
    team.check_batch(config.batch_size)
    with team.strategy.scope():
        network = compiled(config, len(dataset.class_names), steps)
    separate_dropout(network, team.first_replica)
    classifier = _classifier(network, config, dataset)
    heads, geometry = classifier.heads, classifier.preprocessing
    validation = team.batches(
        lambda share: pipeline.for_evaluation(
            dataset.validation, geometry, heads=heads, share=share
        )
    )
    return _Plan(classifier, steps, validation, team)


def _classifier(
    network: keras.Model, config: TrainConfig, dataset: Dataset
) -> Classifier:
    return Classifier(
        network,
        config.to_architecture(),
        Preprocessing(*sides(config.image_size), config.crop_fraction),
        dataset.class_names,
        {
            "trained_on": dataset.name,
            "training_images": dataset.train.count,
            "recipe": config.recipe,
            "seed": config.seed,
            "commit": machine.commit(),
        },
    )


def training_batches(
    config: TrainConfig,
    dataset: Dataset,
    heads: Sequence[str],
    start: tuple[int, int] = (0, 0),
    share: pipeline.Share = pipeline.WHOLE,
) -> tf.data.Dataset:
    """Batches of all epochs from `start`, as `config` says, or a share of each."""
    augment = Augmentation(
        *sides(config.image_size),
        crop_area=config.crop_area,
        crop_aspect=config.crop_aspect,
        mirror=config.mirror == "on",
        color_jitter=config.color_jitter,
        random_interpolation=config.random_interpolation,
    )
    regularization = Regularization(
        rand_augment=config.rand_augment,
        random_erasing=config.random_erasing,
        mixup=config.mixup,
        cutmix=config.cutmix,
        classes=len(dataset.class_names),
    )
    return pipeline.for_training(
        cached(dataset.train, config.cache, *sides(config.image_size)),
        augment,
        batch_size=config.batch_size,
        epochs=config.epochs,
        seed=config.seed,
        heads=heads,
        regularization=regularization,
        class_weights=(
            pipeline.balanced_weights(dataset.train)
            if config.class_weights == "balanced"
            else None
        ),
        start=start,
        share=share,
    )


def _watchers(
    config: TrainConfig, dataset: Dataset, plan: _Plan
) -> dict[str, keras.callbacks.Callback]:
    """What happens beside the steps, in its order, by name."""
    folder, heads, steps = config.run_folder, plan.classifier.heads, plan.steps
    even = config.class_weights == "balanced"  # then every class counts alike
    counts = None if even else dataset.train.class_counts
    chance = _chance(counts, len(dataset.class_names), config.label_smoothing)
    warmup = schedules.warmup_steps(config, steps)
    found = {"learning": watch.WatchLearning(chance, warmup, heads)}
    if config.average_epochs:
        found[AVERAGE] = AverageWeights(config.average_epochs * steps)
    if not plan.team.writes:
        return found | {BEST: watch.SaveBest(lambda: None)}
    return found | {
        "metrics": watch.WriteMetrics(
            folder / records.METRICS, heads, config.batch_size
        ),
        BEST: watch.SaveBest(lambda: plan.classifier.save(folder / records.CLASSIFIER)),
        "tensorboard": keras.callbacks.TensorBoard(
            folder / records.TENSORBOARD, write_graph=False
        ),
        "bar": watch.ShortBar(config.batch_size),
    }


def _chance(counts: Sequence[int] | None, classes: int, smoothing: float) -> float:
    """Cross-entropy of a network that has learnt the classes' frequencies alone."""
    if counts is None:
        return math.log(classes)
    frequencies = np.asarray(counts) / sum(counts)
    answered = (1 - smoothing) * frequencies + smoothing / classes
    seen = frequencies > 0
    return float(-(frequencies[seen] * np.log(answered[seen])).sum())
