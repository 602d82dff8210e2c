"""The time of an epoch of the input pipeline, from files to batches."""

from dataclasses import replace

from googlenet_keras.data import pipeline
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.stopwatch import time_calls
from googlenet_keras.timing.benchmark_report import BenchmarkReport, benchmark_report
from googlenet_keras.training.input_pipeline import training_batches
from googlenet_keras.training.options import TrainConfig


def time_input_pipeline(config: TrainConfig, *, repeats: int) -> BenchmarkReport:
    """Times whole epochs of the training pipeline; a repeat is an epoch."""
    dataset = open_dataset(config.dataset)
    config = replace(config, epochs=repeats + 1).resolved(dataset.defaults)
    batches = iter(training_batches(config, dataset, ("main",)))
    assert isinstance(config.batch_size, int), "no recipe leaves the batch size open"
    steps = pipeline.steps_per_epoch(dataset.train, config.batch_size)

    def epoch() -> None:
        for _ in range(steps):
            next(batches)

    timings = time_calls(epoch, calls=repeats, warmup=1)
    options = {
        "dataset": dataset.name,
        "image_size": list(config.image_size),
        "recipe": config.recipe,
        "crop_area": config.crop_area,
        "color_jitter": config.color_jitter,
        "cache": config.cache,
    }
    images = steps * config.batch_size
    return benchmark_report("input-pipeline", options, timings, images)
