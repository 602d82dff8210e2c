"""Images per second from files to batches, as training reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from googlenet_keras.data import pipeline
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.stopwatch import time_calls
from googlenet_keras.timing.benchmark_report import report
from googlenet_keras.training.input_pipeline import training_batches
from googlenet_keras.training.recipes import recipe


def input_pipeline(
    dataset: str,
    *,
    image_size: tuple[int, ...],
    recipe_name: str,
    crop_area: float | None,
    color_jitter: float | None,
    cache: str,
    repeats: int,
) -> dict[str, Any]:
    """Times whole epochs of the training pipeline; one repeat is one epoch."""
    data = open_dataset(dataset)
    config = replace(
        recipe(recipe_name), dataset=dataset, image_size=image_size, cache=cache
    )
    asked = {"crop_area": crop_area, "color_jitter": color_jitter}
    asked = {name: value for name, value in asked.items() if value is not None}
    config = replace(config, **asked).resolved(data.defaults)
    epochs = repeats + 1
    batches = iter(training_batches(replace(config, epochs=epochs), data, ("main",)))
    steps = pipeline.steps_per_epoch(data.train, config.batch_size)

    def epoch() -> None:
        for _ in range(steps):
            next(batches)

    timings = time_calls(epoch, calls=repeats, warmup=1)
    options = {
        "dataset": data.name,
        "image_size": list(config.image_size),
        "recipe": recipe_name,
        "crop_area": config.crop_area,
        "color_jitter": config.color_jitter,
        "cache": cache,
    }
    return report("input-pipeline", options, timings, steps * config.batch_size)
