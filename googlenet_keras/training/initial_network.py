"""Builds the network of a job, and copies pretrained weights into it."""

import keras

from googlenet_keras import machine
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.training import transfer
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.model import (
    AdaptModel,
    build_and_compile,
    separate_dropout_seeds,
)


def new_classifier(
    job: TrainingJob, image_size: tuple[int, int], adapt: AdaptModel | None = None
) -> Classifier:
    """Builds the Classifier to train, with random weights.

    image_size: height and width of its input. adapt: as in `build_and_compile`.
    """
    config, distribution = job.config, job.distribution
    distribution.check_batch_size(config.batch_size)
    with distribution.strategy.scope():
        network = build_and_compile(
            config, job.classes, job.steps_per_epoch, image_size, adapt
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


def copy_initial_weights(job: TrainingJob, network: keras.Model) -> str:
    """Copies the weights that the job starts from; says which, "" if there are none."""
    if not job.start:
        return ""
    with job.distribution.strategy.scope():
        return transfer.copy_weights(network, job.start, job.dataset.class_names)
