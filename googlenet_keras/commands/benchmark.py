"""`benchmark`: measures training, input pipeline, inference and matrix products."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from tyro.conf import arg, subcommand

from googlenet_keras.errors import UserError
from googlenet_keras.files import check_output_file, write_json
from googlenet_keras.training.options import TrainConfig

if TYPE_CHECKING:
    from googlenet_keras.timing.benchmark_report import BenchmarkReport, MatmulReport

MIN_OPTION_VALUES = {"repeats": 1, "batch_size": 1, "classes": 2, "threads": 0}


@dataclass(frozen=True)
class Measurement(ABC):
    """Base class of the benchmarks: repeats, and a report to print and write."""

    repeats: int = 7
    """Measured repeats, at least 1; an input pipeline's repeat is an epoch."""
    json: Path | None = None
    """Write the report to this JSON file too."""

    @abstractmethod
    def measure(self) -> "BenchmarkReport | MatmulReport":
        """Measures and returns the report."""

    def run(self) -> None:
        """Measures, prints and writes the report. Raises UserError."""
        for name, least in MIN_OPTION_VALUES.items():
            if (value := getattr(self, name, least)) < least:
                raise UserError(f"{name} must be at least {least}; received {value}.")
        if self.json:
            check_output_file(self.json)
        report = self.measure()
        _print(report)
        if self.json:
            write_json(self.json, report)


@dataclass(frozen=True)
class TrainingStep(Measurement):
    """Times a training step on random images."""

    variant: str = TrainConfig.variant
    """Network: bn, paper, torchvision or slim."""
    width: float = TrainConfig.width
    """Factor on every filter count, rounded to multiples of 8."""
    image_size: tuple[int, ...] = (224,)
    """Pixels, one number or height and width."""
    batch_size: int = 16
    """Images per step."""
    classes: int = 1000
    """Number of classes, from 2."""
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    """Arithmetic; auto: what this machine computes fastest."""

    def measure(self) -> "BenchmarkReport":
        from googlenet_keras.timing.training_step import time_training_step

        config = TrainConfig(
            variant=self.variant,
            width=self.width,
            image_size=self.image_size,
            batch_size=self.batch_size,
            precision=self.precision,
        )
        return time_training_step(config, classes=self.classes, repeats=self.repeats)


@dataclass(frozen=True)
class InputPipeline(Measurement):
    """Times epochs of the training input pipeline, from files to batches."""

    dataset: str = TrainConfig.dataset
    """digits, a folder of class folders, or the name of a TFDS data set."""
    image_size: tuple[int, ...] = (224,)
    """Pixels, one number or height and width."""
    recipe: str = TrainConfig.recipe
    """The recipe whose augmentation is used."""
    crop_area: float | None = None
    """Smallest area of a training crop (0..1); none: the recipe's."""
    color_jitter: float | None = None
    """Change of brightness, contrast, saturation (0..1); none: the recipe's."""
    cache: Literal["none", "memory", "disk"] = "none"
    """Keep encoded images in memory, or smaller copies of a folder's on disk."""

    def measure(self) -> "BenchmarkReport":
        from googlenet_keras.timing.input_pipeline import time_input_pipeline

        given = {"crop_area": self.crop_area, "color_jitter": self.color_jitter}
        config = TrainConfig.from_recipe(
            self.recipe,
            dataset=self.dataset,
            image_size=self.image_size,
            cache=self.cache,
            **{name: value for name, value in given.items() if value is not None},
        )
        return time_input_pipeline(config, repeats=self.repeats)


@dataclass(frozen=True)
class Inference(Measurement):
    """Times a forward pass of a run's network or of an exported file."""

    model: Path | None = None
    """A run, a folder of a saved classifier, or an exported file."""
    batch_size: int = 16
    """Images per forward pass."""
    threads: int = 0
    """Threads within an operation; 0: one for each core."""

    def measure(self) -> "BenchmarkReport":
        from googlenet_keras.timing.inference import time_inference

        if self.model is None:
            raise UserError(
                "benchmark inference needs --model RUN or an exported file."
            )
        return time_inference(
            self.model,
            batch_size=self.batch_size,
            threads=self.threads,
            repeats=self.repeats,
        )


@dataclass(frozen=True)
class Roof(Measurement):
    """Measures the peak matmul rate, with products of large matrices."""

    DEFAULT_PRECISIONS: ClassVar = ("float32", "mixed_bfloat16")
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    """Arithmetic; auto: float32 and mixed_bfloat16."""

    def measure(self) -> "MatmulReport":
        from googlenet_keras.timing.matmul_rate import time_matmul

        auto = self.precision == "auto"
        precisions = self.DEFAULT_PRECISIONS if auto else (self.precision,)
        return time_matmul(precisions, repeats=self.repeats)


@dataclass(frozen=True)
class Benchmark:
    """Measures speed after a warm-up: median and spread, in wall and CPU seconds."""

    what: Annotated[
        Annotated[TrainingStep, subcommand("training-step")]
        | Annotated[InputPipeline, subcommand("input-pipeline")]
        | Annotated[Inference, subcommand("inference")]
        | Annotated[Roof, subcommand("roof")],
        arg(name=""),
    ]

    def run(self) -> None:
        """Runs the chosen benchmark. Raises UserError."""
        self.what.run()


def _print(report: "BenchmarkReport | MatmulReport") -> None:
    if report["what"] == "roof":
        for name, rate in report["gigaflops_per_cpu_second"].items():
            print(f"{name}: {rate:.0f} GFLOP per CPU second")
        return
    cpu = report["cpu_seconds_per_image"]
    options = ", ".join(f"{name} {value}" for name, value in report["options"].items())
    print(f"{report['what']}: {options}")
    print(
        f"{1 / cpu['median']:.1f} images per CPU second (10th to 90th percentile "
        f"{1 / cpu['p90']:.1f} to {1 / cpu['p10']:.1f}), "
        f"{report['images_per_second']:.1f} images per second"
    )
    if report["share_of_roof"] is not None:
        print(f"{report['share_of_roof']:.0%} of this machine's peak matmul rate")
