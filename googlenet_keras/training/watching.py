"""Who watches a run: the callbacks that its options ask for, in their order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from googlenet_keras.classifier import Classifier
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training import callbacks as watch
from googlenet_keras.training import optimizer
from googlenet_keras.training.ema import AverageWeights
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.resume import AVERAGE, BEST

STATEFUL = ("learning", AVERAGE, BEST)  # those whose state belongs to a checkpoint


def watchers(
    config: TrainConfig,
    dataset: Dataset,
    classifier: Classifier,
    steps: int,
    writes: bool,
) -> dict[str, keras.callbacks.Callback]:
    """What happens beside the steps, in its order, by name.

    steps: in one epoch. writes: whether this worker is the one that writes.
    """
    folder, heads = config.run_folder, classifier.heads
    even = config.class_weights == "balanced"  # then every class counts alike
    counts = None if even else dataset.train.class_counts
    chance = chance_level(counts, len(dataset.class_names), config.label_smoothing)
    warmup = optimizer.warmup_steps(config, steps)
    found = {"learning": watch.WatchLearning(chance, warmup, heads)}
    if config.average_epochs:
        found[AVERAGE] = AverageWeights(config.average_epochs * steps)
    if not writes:
        return found | {BEST: watch.SaveBest(lambda: None)}
    return found | {
        "metrics": watch.WriteMetrics(
            RunFolder(folder).metrics, heads, config.batch_size
        ),
        BEST: watch.SaveBest(lambda: classifier.save(RunFolder(folder).classifier)),
        "tensorboard": watch.Events(RunFolder(folder).tensorboard, write_graph=False),
        "bar": watch.ShortBar(config.batch_size),
    }


def chance_level(counts: Sequence[int] | None, classes: int, smoothing: float) -> float:
    """Cross-entropy of a network that has learnt the classes' frequencies alone."""
    if counts is None:
        return math.log(classes)
    frequencies = np.asarray(counts) / sum(counts)
    answered = (1 - smoothing) * frequencies + smoothing / classes
    seen = frequencies > 0
    return float(-(frequencies[seen] * np.log(answered[seen])).sum())
