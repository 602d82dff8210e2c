"""What a training needs: the network, compiled and given what it starts from."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import tensorflow as tf

from googlenet_keras import machine
from googlenet_keras.architecture.arithmetic import height_and_width
from googlenet_keras.classifier import Classifier
from googlenet_keras.data import pipeline
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.training import transfer
from googlenet_keras.training.distribution import Distribution
from googlenet_keras.training.model import build_and_compile
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.replicated import separate_dropout_seeds


@dataclass(frozen=True)
class Plan:
    """What fit needs, made before anything is written."""

    classifier: Classifier
    steps: int
    validation: tf.data.Dataset | tf.distribute.DistributedDataset
    team: Distribution


def planned(
    config: TrainConfig, dataset: Dataset, team: Distribution, old: Classifier | None
) -> Plan:
    """The plan of `config`; old: the Classifier that it starts from, if any."""
    steps = pipeline.steps_per_epoch(dataset.train, config.batch_size)
    team.check_batch_size(config.batch_size)
    with team.strategy.scope():
        network = build_and_compile(config, len(dataset.class_names), steps)
        taken = transfer.start_from(network, old, dataset.class_names) if old else ""
    if taken and team.is_chief:
        print(f"weights of {config.weights}: {taken}")
    separate_dropout_seeds(network, team.first_replica)
    classifier = _classifier(network, config, dataset)
    heads, geometry = classifier.heads, classifier.preprocessing
    validation = team.distribute(
        lambda shard: pipeline.evaluation_batches(
            dataset.validation, geometry, heads=heads, shard=shard
        )
    )
    return Plan(classifier, steps, validation, team)


def _classifier(
    network: keras.Model, config: TrainConfig, dataset: Dataset
) -> Classifier:
    return Classifier(
        network,
        config.to_architecture(),
        Preprocessing(*height_and_width(config.image_size), config.crop_fraction),
        dataset.class_names,
        {
            "trained_on": dataset.name,
            "training_images": dataset.train.count,
            "recipe": config.recipe,
            "seed": config.seed,
            "started_from": config.weights,
            "commit": machine.commit(),
        },
    )
