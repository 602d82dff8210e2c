"""The training input pipeline that a run's options describe."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from googlenet_keras.data import pipeline
from googlenet_keras.data.augmentation import Augmentation
from googlenet_keras.data.cache import cache_split
from googlenet_keras.data.dataset import Dataset, Split
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
    end: int | None = None,
) -> tf.data.Dataset:
    """Batches from `start` (epoch, step) to the end of its stage, or a worker's part.

    soft_targets: as of a TrainingPipeline. end: an epoch before which to end, if it is
    before the end of the stage.
    """
    stage = stage_at(config.stages, start[0])
    balanced = config.class_weights == "balanced"
    train, none = cached_splits(config, dataset)
    return pipeline.TrainingPipeline(
        train,
        augmentation(config, stage.size),
        heads,
        config.batch_size,
        config.seed,
        regularization(config, len(dataset.class_names)),
        pipeline.balanced_weights(dataset.train) if balanced else None,
        none,
        config.none_synthetic,
        soft_targets,
    ).batches(stage.end if end is None else min(end, stage.end), start, shard)


def cached_splits(
    config: ResolvedConfig, dataset: Dataset
) -> tuple[Split, Split | None]:
    """The training images and the none pictures, cached as `config` says.

    What is cached is large enough for every stage. Raises UserError.
    """
    heights, widths = zip(*(stage.size for stage in config.stages), strict=True)
    largest = (max(heights), max(widths))
    none = dataset.none and cache_split(dataset.none, config.cache, *largest)
    return cache_split(dataset.train, config.cache, *largest), none


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
    """The RandAugment, erasing, MixUp and CutMix of `config`."""
    return Regularization(
        rand_augment=config.rand_augment,
        random_erasing=config.random_erasing,
        mixup=config.mixup,
        cutmix=config.cutmix,
        classes=classes,
    )
