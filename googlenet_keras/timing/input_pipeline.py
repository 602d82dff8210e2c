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
    resolved = replace(config, epochs=repeats + 1).resolve(dataset.kind)
    batches = iter(training_batches(resolved, dataset, ("main",)))
    steps = pipeline.steps_per_epoch(dataset.train, resolved.batch_size)

    def epoch() -> None:
        for _ in range(steps):
            next(batches)

    timings = time_calls(epoch, calls=repeats, warmup=1)
    options = {
        "dataset": dataset.name,
        "image_size": list(resolved.image_size),
        "recipe": resolved.recipe,
        "crop_area": resolved.crop_area,
        "color_jitter": resolved.color_jitter,
        "cache": resolved.cache,
    }
    images = steps * resolved.batch_size
    return benchmark_report("input-pipeline", options, timings, images)
