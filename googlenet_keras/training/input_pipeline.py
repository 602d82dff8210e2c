"""The training input pipeline that a run's options describe."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from googlenet_keras.data import pipeline
from googlenet_keras.data.augmentation import Augmentation
from googlenet_keras.data.cache import cache_split
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.data.regularization import Regularization
from googlenet_keras.training.options import ResolvedConfig
from googlenet_keras.training.stages import stage_at


def training_batches(
    config: ResolvedConfig,
    dataset: Dataset,
    heads: Sequence[str],
    start: tuple[int, int] = (0, 0),
    shard: pipeline.Shard = pipeline.SINGLE_WORKER_SHARD,
    soft_targets: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tf.data.Dataset:
    """Batches from `start` (epoch, step) to the end of its stage, or a worker's part.

    What is cached is large enough for every stage. soft_targets: as of a
    TrainingPipeline.
    """
    stages = config.stages
    balanced, stage = config.class_weights == "balanced", stage_at(stages, start[0])
    heights, widths = zip(*(stage.size for stage in stages), strict=True)
    largest = (max(heights), max(widths))
    none = dataset.none and cache_split(dataset.none, config.cache, *largest)
    return pipeline.TrainingPipeline(
        cache_split(dataset.train, config.cache, *largest),
        augmentation(config, stage.size),
        heads,
        config.batch_size,
        config.seed,
        regularization(config, len(dataset.class_names)),
        pipeline.balanced_weights(dataset.train) if balanced else None,
        none,
        config.none_synthetic,
        soft_targets,
    ).batches(stage.end, start, shard)


def augmentation(config: ResolvedConfig, size: tuple[int, int]) -> Augmentation:
    """The random crops of `config`, at a height and width."""
    return Augmentation(
        *size,
        crop_area=config.crop_area,
        crop_aspect=config.crop_aspect,
        mirror=config.mirror == "on",
        color_jitter=config.color_jitter,
        random_interpolation=config.random_interpolation,
    )


def regularization(config: ResolvedConfig, classes: int) -> Regularization:
    """What `config` does to images besides, and to batches of them."""
    return Regularization(
        rand_augment=config.rand_augment,
        random_erasing=config.random_erasing,
        mixup=config.mixup,
        cutmix=config.cutmix,
        classes=classes,
    )
