"""One training run, from options to a Classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras import records
from googlenet_keras.architecture.arithmetic import sides
from googlenet_keras.classifier import Classifier
from googlenet_keras.data import pipeline
from googlenet_keras.data.augmentation import Augmentation
from googlenet_keras.data.cache import cached
from googlenet_keras.data.regularization import Regularization
from googlenet_keras.data.splits import Dataset
from googlenet_keras.data.transforms import Preprocessing
from googlenet_keras.network.build import build
from googlenet_keras.training import callbacks as watch
from googlenet_keras.training import (
    device,
    distribution,
    losses,
    replicated,
    schedules,
    settings,
)
from googlenet_keras.training.config import TrainConfig
from googlenet_keras.training.distribution import Team


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
    training: tf.data.Dataset | tf.distribute.DistributedDataset
    validation: tf.data.Dataset | tf.distribute.DistributedDataset
    validation_steps: int


def train(config: TrainConfig) -> Run | None:
    """Trains as `config` says and leaves a run folder behind.

    The folder has config.json, environment.json, metrics.jsonl, tensorboard/ and
    classifier/, the best by validation main top-1. Of several workers the first alone
    writes and prints; the others get None. Raises UserError for what a user can mend,
    before the folder is made where that can be known, for a run that does not learn and
    for a worker that is lost.
    """
    team = distribution.start(config.strategy)
    keras.utils.set_random_seed(config.seed)
    if config.run_folder and team.writes:
        records.refuse_existing(config.run_folder)
    dataset = settings.opened(config)
    config, reason = settings.settled(config, dataset)
    with device.precision_policy(config.precision), team.watched(config.run_folder):
        plan = _plan(config, dataset, team)
        if team.writes:
            _begin(config, reason, team)
        best = _fit(config, dataset, plan, team)
    if not team.writes:
        return None
    loaded = Classifier.load(config.run_folder / records.CLASSIFIER)
    return Run(config.run_folder, dataset, config, loaded, best.best_epoch)


def _plan(config: TrainConfig, dataset: Dataset, team: Team) -> _Plan:
    steps = pipeline.steps_per_epoch(dataset.train, config.batch_size)
    team.check_batch(config.batch_size)
    team.check_agreement(settings.shared(config, dataset))
    with team.strategy.scope():
        network = compiled(config, len(dataset.class_names), steps)
    replicated.separate_dropout(network, team.first_replica)
    classifier = _classifier(network, config, dataset)
    heads, geometry = classifier.heads, classifier.preprocessing
    return _Plan(
        classifier,
        steps,
        team.batches(
            lambda share: training_batches(config, dataset, heads, share), endless=True
        ),
        team.batches(
            lambda share: pipeline.for_evaluation(
                dataset.validation, geometry, heads=heads, share=share
            ),
            endless=False,
        ),
        pipeline.evaluation_steps(dataset.validation, team.share),
    )


def _begin(config: TrainConfig, reason: str, team: Team) -> None:
    print(f"precision {config.precision}: {reason}")
    if team.replicas > 1:
        print(team.describe(config.batch_size, config.learning_rate))
    folder = records.create_run(config.run_folder)
    print(f"run folder {folder}", flush=True)
    settings.write(folder, config, reason)


def _fit(
    config: TrainConfig, dataset: Dataset, plan: _Plan, team: Team
) -> watch.SaveBest:
    folder = config.run_folder / records.CLASSIFIER
    best = watch.SaveBest(lambda: plan.classifier.save(folder) if team.writes else None)
    plan.classifier.network.fit(
        plan.training,
        validation_data=plan.validation,
        epochs=config.epochs,
        steps_per_epoch=plan.steps,
        validation_steps=plan.validation_steps,
        shuffle=False,  # the batches are shuffled already; True would only warn
        verbose="auto" if team.writes else 0,
        callbacks=[
            *_watchers(config, dataset, plan),
            best,
            *(_writers(config, plan) if team.writes else ()),
        ],
    )
    return best


def compiled(config: TrainConfig, classes: int, steps: int) -> keras.Model:
    """The network of `config`, its losses and optimiser; steps: in one epoch."""
    network = build(
        config.to_architecture(),
        classes=classes,
        image_size=config.image_size,
        initialization=config.initialization,
        joint=True,
    )
    optimizer = schedules.optimizer(config, steps)
    if tf.distribute.has_strategy():
        network = replicated.replicated(network)
        optimizer = replicated.replicated_optimizer(optimizer)
    loss = {head: losses.SmoothedCrossEntropy(config.label_smoothing)
            for head in network.output}  # fmt: skip
    network.compile(
        optimizer=optimizer,
        loss=loss,
        loss_weights={h: w for h, w in config.loss_weights().items() if h in loss},
        metrics=losses.head_metrics(network.output, classes),
        jit_compile=config.xla == "on",
    )
    _make_variables(network)
    return network


def _make_variables(network: keras.Model) -> None:
    """Makes what Keras would make in a step's first trace, and then trace it again."""
    if tf.distribute.has_strategy():
        return replicated.make_variables(network)
    network.optimizer.build(network.trainable_variables)
    logits = {head: tf.zeros((1, out.shape[1])) for head, out in network.output.items()}
    labels = {head: tf.zeros((1,), tf.int32) for head in logits}
    network.compute_loss(y=labels, y_pred=logits)
    network.compute_metrics(None, labels, logits)
    network.reset_metrics()
    return None


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
            "commit": records.commit(),
        },
    )


def training_batches(
    config: TrainConfig,
    dataset: Dataset,
    heads: Sequence[str],
    share: pipeline.Share = pipeline.WHOLE,
) -> tf.data.Dataset:
    """Batches of all epochs, cropped as `config` says; share: of one worker."""
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
        share=share,
    )


def _watchers(
    config: TrainConfig, dataset: Dataset, plan: _Plan
) -> list[keras.callbacks.Callback]:
    """What every worker does beside the steps."""
    heads, steps = plan.classifier.heads, plan.steps
    even = config.class_weights == "balanced"  # then every class counts alike
    counts = None if even else dataset.train.class_counts
    chance = _chance(counts, len(dataset.class_names), config.label_smoothing)
    averaging = [watch.AverageWeights(config.average_epochs * steps)]
    return [
        watch.WatchLearning(chance, schedules.warmup_steps(config, steps), heads),
        *(averaging if config.average_epochs else []),
    ]


def _writers(config: TrainConfig, plan: _Plan) -> list[keras.callbacks.Callback]:
    """What the worker that writes does beside the steps."""
    folder, images = config.run_folder, plan.steps * config.batch_size
    return [
        watch.WriteMetrics(folder / records.METRICS, plan.classifier.heads, images),
        keras.callbacks.TensorBoard(folder / records.TENSORBOARD, write_graph=False),
        watch.ShortBar(config.batch_size),
    ]


def _chance(counts: Sequence[int] | None, classes: int, smoothing: float) -> float:
    """Cross-entropy of a network that has learnt the classes' frequencies alone."""
    if counts is None:
        return math.log(classes)
    frequencies = np.asarray(counts) / sum(counts)
    answered = (1 - smoothing) * frequencies + smoothing / classes
    seen = frequencies > 0
    return float(-(frequencies[seen] * np.log(answered[seen])).sum())
