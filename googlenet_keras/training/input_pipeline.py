"""The training input pipeline that a run's options describe."""

from collections.abc import Sequence

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
) -> tf.data.Dataset:
    """Batches from `start` (epoch, step) to the end of its stage, or a worker's part.

    What is cached is large enough for every stage.
    """
    stages = config.stages
    balanced, stage = config.class_weights == "balanced", stage_at(stages, start[0])
    heights, widths = zip(*(stage.size for stage in stages), strict=True)
    largest = (max(heights), max(widths))
    none = dataset.none and cache_split(dataset.none, config.cache, *largest)
    return pipeline.TrainingPipeline(
        cache_split(dataset.train, config.cache, *largest),
        Augmentation(
            *stage.size,
            crop_area=config.crop_area,
            crop_aspect=config.crop_aspect,
            mirror=config.mirror == "on",
            color_jitter=config.color_jitter,
            random_interpolation=config.random_interpolation,
        ),
        heads,
        config.batch_size,
        config.seed,
        Regularization(
            rand_augment=config.rand_augment,
            random_erasing=config.random_erasing,
            mixup=config.mixup,
            cutmix=config.cutmix,
            classes=len(dataset.class_names),
        ),
        pipeline.balanced_weights(dataset.train) if balanced else None,
        none,
        config.none_synthetic,
    ).batches(stage.end, start, shard)
