"""`benchmark`: how fast this machine trains, reads, answers and multiplies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from googlenet_keras import machine
from googlenet_keras.errors import UserError
from googlenet_keras.files import check_output_file, write_json


@dataclass(frozen=True)
class Benchmark:
    """Measures speed: warm-up, repeats, medians with their spread, CPU seconds."""

    what: Annotated[
        Literal["training-step", "input-pipeline", "inference", "roof"],
        tyro.conf.Positional,
    ]
    """What to measure."""
    model: Path | None = None
    """inference: a run, a folder of a saved classifier, or an exported file."""
    dataset: str = "digits"
    """input-pipeline: digits, a folder of class folders or a TFDS name."""
    recipe: str = "modern"
    """input-pipeline: the recipe whose crops are made."""
    crop_area: float | None = None
    """input-pipeline: smallest area of a crop (0..1); none: the recipe's."""
    color_jitter: float | None = None
    """input-pipeline: change of brightness and so on (0..1); none: the recipe's."""
    cache: Literal["none", "memory", "disk"] = "none"
    """input-pipeline: what is kept between epochs."""
    variant: str = "bn"
    """training-step: bn, paper, torchvision or slim."""
    width: float = 1.0
    """training-step: factor on every filter count."""
    image_size: tuple[int, ...] = (224,)
    """training-step, input-pipeline: pixels, one number or height and width."""
    batch_size: int = 16
    """training-step, inference: images in a step."""
    classes: int = 1000
    """training-step: number of classes."""
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    """training-step, roof: arithmetic; auto: the fastest here, or for roof two."""
    threads: int = 0
    """inference: threads within an operation; 0: one for each core."""
    repeats: int = 7
    """Measured repeats, at least 1; an input pipeline's repeat is an epoch."""
    json: Path | None = None
    """Write the figures to this JSON file too."""

    def run(self) -> None:
        """Measures, prints and writes. Raises UserError."""
        rules = {"repeats": 1, "batch_size": 1, "classes": 2, "threads": 0}
        for name, least in rules.items():
            if getattr(self, name) < least:
                raise UserError(
                    f"{name} must be at least {least}; received {getattr(self, name)}."
                )
        if self.json:
            check_output_file(self.json)
        found = self._measured()
        _print(found)
        if self.json:
            write_json(self.json, found)

    def _measured(self) -> dict[str, Any]:
        if self.what == "training-step":
            return self._training_step()
        if self.what == "input-pipeline":
            return self._input_pipeline()
        return self._inference() if self.what == "inference" else self._roof()

    def _training_step(self) -> dict[str, Any]:
        from googlenet_keras.timing.training_step import training_step

        return training_step(
            self.variant,
            width=self.width,
            batch_size=self.batch_size,
            image_size=self.image_size,
            classes=self.classes,
            precision=self.precision,
            repeats=self.repeats,
        )

    def _input_pipeline(self) -> dict[str, Any]:
        from googlenet_keras.timing.input_pipeline import input_pipeline

        return input_pipeline(
            self.dataset,
            image_size=self.image_size,
            recipe_name=self.recipe,
            crop_area=self.crop_area,
            color_jitter=self.color_jitter,
            cache=self.cache,
            repeats=self.repeats,
        )

    def _inference(self) -> dict[str, Any]:
        from googlenet_keras.timing.inference import inference

        if self.model is None:
            raise UserError(
                "benchmark inference needs --model RUN or an exported file."
            )
        return inference(
            self.model,
            batch_size=self.batch_size,
            threads=self.threads,
            repeats=self.repeats,
        )

    def _roof(self) -> dict[str, Any]:
        from googlenet_keras.timing.roof import roof

        precisions = ("float32", "mixed_bfloat16")
        wanted = precisions if self.precision == "auto" else (self.precision,)
        return {
            "what": "roof",
            "gigaflops_per_cpu_second": {
                name: roof(name, self.repeats) for name in wanted
            },
            "environment": machine.environment(),
        }


def _print(found: Mapping[str, Any]) -> None:
    if found["what"] == "roof":
        for name, rate in found["gigaflops_per_cpu_second"].items():
            print(f"{name}: {rate:.0f} GFLOP per CPU second")
        return
    cpu = found["cpu_seconds_per_image"]
    print(
        f"{found['what']}: "
        + ", ".join(f"{k} {v}" for k, v in found["options"].items())
    )
    print(
        f"{1 / cpu['median']:.1f} images per CPU second (10th to 90th percentile "
        f"{1 / cpu['p90']:.1f} to {1 / cpu['p10']:.1f}), "
        f"{found['images_per_second']:.1f} images per second"
    )
    if found["share_of_roof"] is not None:
        print(f"{found['share_of_roof']:.0%} of this machine's matrix-product rate")
