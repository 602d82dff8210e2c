"""`benchmark`: measures training, input pipeline, inference and matrix products."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, cast

from msgspec import Meta
from tyro.conf import arg

from googlenet_keras import machine, stopwatch
from googlenet_keras.architecture import arithmetic
from googlenet_keras.commands.phone_benchmark import (
    PhoneReport,
    measure_on_phone,
    phone_text,
)
from googlenet_keras.console import print_text
from googlenet_keras.errors import UserError
from googlenet_keras.files import check_output_files, write_json
from googlenet_keras.stopwatch import Spread, Timings, spread, time_calls
from googlenet_keras.training.option_checks import check_options
from googlenet_keras.training.options import BatchSize, TrainConfig, Width

if TYPE_CHECKING:  # these would slow down --help
    import numpy as np

    from googlenet_keras.classifier import Classifier

BENCHMARKS = ("training-step", "input-pipeline", "inference", "roof")
PASSES_PER_STEP = 3  # forward, gradients of activations, of weights; with all heads
SCHEDULED_STEPS = 1000  # of the learning rate; any number costs the same
INFERENCE_WARMUP_CALLS, DEFAULT_INFERENCE_BATCH_SIZE = 5, 16
MATRIX_SIDE = 2048
MATMUL_REPEATS = 7
Measured = Literal["training-step", "input-pipeline", "inference"]
Precision = Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]
Repeats = Annotated[int, Meta(ge=1, le=100_000)]
Threads = Annotated[int, Meta(ge=0, le=1024)]


class BenchmarkReport(TypedDict):
    """The report of a benchmark that processes images."""

    what: Measured
    options: dict[str, Any]
    repeats: int
    images_per_second: float
    seconds_per_image: Spread
    cpu_seconds_per_image: Spread
    share_of_roof: float | None  # of the peak matmul rate; None where it is unknown
    peak_megabytes: float | None
    environment: machine.Environment


class MatmulReport(TypedDict):
    """The report of the peak matmul rate for each Keras precision policy."""

    what: Literal["roof"]
    gigaflops_per_cpu_second: dict[str, float]
    environment: machine.Environment


@dataclass(frozen=True)
class Measurement(ABC):
    """Base class of the benchmarks: repeats, and a report to print and write."""

    repeats: Repeats = 7  # Measured repeats, from 1; an input pipeline's is an epoch.
    json: Path | None = None  # Write the report to this JSON file too.

    @abstractmethod
    def measure(self) -> BenchmarkReport | MatmulReport | PhoneReport:
        """Measures and returns the report."""

    def run(self) -> None:
        check_options(self)
        check_output_files(self.json)
        report = self.measure()
        _print(report)
        if self.json:
            write_json(self.json, report)


@dataclass(frozen=True)
class TrainingStep(Measurement):
    """Times a training step on random images."""

    variant: str = TrainConfig.variant  # Network: bn, paper, torchvision or slim.
    width: Width = TrainConfig.width
    """Factor on every filter count, rounded to multiples of 8."""
    image_size: tuple[int, ...] = (224,)  # Pixels, one number or height and width.
    batch_size: BatchSize = 16  # Images per step.
    optimizer: Literal["sgd", "muon"] = "sgd"  # As in train.
    classes: int = 1000  # Number of classes, from 2.
    precision: Precision = "auto"  # Arithmetic; auto: the fastest of this machine.

    def measure(self) -> BenchmarkReport:
        import tensorflow as tf

        from googlenet_keras.training import memory, precision
        from googlenet_keras.training.model import build_and_compile

        names = ("variant", "width", "image_size", "batch_size", "optimizer")
        config = TrainConfig(**_options(self, *names), grow="off")
        xla = "on" if precision.use_xla(config.xla) else "off"
        resolved = config.resolve("photos", xla=xla, epochs=1)
        size = arithmetic.height_and_width(self.image_size)
        shape, classes = (self.batch_size, *size, 3), self.classes
        arithmetic.check_classes(classes)
        memory.check_memory(resolved, classes)
        images = tf.random.stateless_uniform(shape, [1, 2], 0, 255)
        labels = tf.random.stateless_uniform(shape[:1], [3, 4], 0, classes, tf.int32)
        policy, _ = precision.choose_precision(self.precision)
        with precision.precision_policy(policy):
            network = build_and_compile(resolved, classes, steps=SCHEDULED_STEPS)
            truth = dict.fromkeys(network.output, labels)
            timings = time_calls(
                lambda: network.train_on_batch(images, truth), calls=self.repeats
            )
        macs = PASSES_PER_STEP * arithmetic.macs(
            resolved.network, classes=classes, image_size=size, auxiliary=True
        )
        options = _options(self, *names, "classes")
        options |= {"image_size": list(size), "precision": policy}
        return _report("training-step", options, timings, len(images), macs, policy)


@dataclass(frozen=True)
class InputPipeline(Measurement):
    """Times epochs of the training input pipeline, from files to batches."""

    dataset: str = TrainConfig.dataset  # digits, a folder of classes, or a TFDS name.
    image_size: tuple[int, ...] = (224,)  # Pixels, one number or height and width.
    recipe: str = TrainConfig.recipe  # The recipe whose augmentation is used.
    crop_area: float | None = None  # Smallest crop's area (0..1); none: the recipe's.
    color_jitter: float | None = None
    """Change of brightness, contrast, saturation (0..1); none: the recipe's."""
    cache: Literal["none", "memory", "disk"] = "none"
    """Keep encoded images in memory, or smaller copies of a folder's on disk."""

    def measure(self) -> BenchmarkReport:
        from googlenet_keras.data.pipeline import steps_per_epoch
        from googlenet_keras.data.sources import open_dataset
        from googlenet_keras.training.input_pipeline import training_batches

        names = ("image_size", "crop_area", "color_jitter", "cache")
        given = {n: v for n, v in _options(self, *names).items() if v is not None}
        given |= {"dataset": self.dataset, "grow": "off"}
        config = TrainConfig.from_recipe(self.recipe, **given)
        dataset = open_dataset(config.dataset)
        resolved = config.resolve(dataset.kind, epochs=self.repeats + 1)
        batches = iter(training_batches(resolved, dataset, ("main",)))
        steps = steps_per_epoch(dataset.train, resolved.batch_size)

        def epoch() -> None:
            for _ in range(steps):
                next(batches)

        timings = time_calls(epoch, calls=self.repeats, warmup=1)
        options = {"dataset": dataset.name} | _options(resolved, "recipe", *names)
        options["image_size"] = list(resolved.image_size)
        return _report("input-pipeline", options, timings, steps * resolved.batch_size)


@dataclass(frozen=True)
class Inference(Measurement):
    """Times a forward pass of a run's network or of an exported file."""

    model: Path | None = None  # A run, a saved classifier or an exported file.
    batch_size: BatchSize | None = None  # Images per pass; none: 16, on a phone 1.
    threads: Threads = 0  # Threads within an operation; 0: one for each core.
    device: Literal["here", "adb"] = "here"
    """adb: time a .tflite file on the phone that adb is connected to."""
    benchmark_binary: Path | None = None
    """adb: LiteRT's benchmark_model for the phone; none: it is there."""

    def measure(self) -> BenchmarkReport | PhoneReport:
        if self.model is None:
            raise UserError("benchmark inference needs --model, a run or a file.")
        if self.device == "adb":
            return self._measure_on_phone(self.model)
        if self.benchmark_binary:
            raise UserError("benchmark_binary needs --device adb; or leave it out.")
        return self._measure_here(self.model)

    def _measure_on_phone(self, file: Path) -> PhoneReport:
        if self.batch_size not in (None, 1):
            raise UserError(
                "a phone classifies one image at a time; leave batch_size out, or 1."
            )
        return measure_on_phone(
            file,
            threads=self.threads,
            repeats=self.repeats,
            binary=self.benchmark_binary,
        )

    def _measure_here(self, path: Path) -> BenchmarkReport:
        import numpy as np

        from googlenet_keras.artifacts import runtimes
        from googlenet_keras.artifacts.artifact import Artifact
        from googlenet_keras.classifier import Classifier

        model: Artifact | Classifier
        forward: Callable[[np.ndarray], np.ndarray]
        kind = runtimes.find_kind(path)
        if kind and kind.is_interpreted:
            raise UserError(
                f"{kind.description} runs on Apple's devices only; here it can be "
                "checked with evaluate, but not timed."
            )
        if kind:
            model = Artifact.load(path, self.threads)
            # in this process, whose CPU time counts
            forward = runtimes.open_runtime(path, self.threads)
            what = {"file": path.name}
        else:
            if self.threads:  # before TensorFlow's first operation
                runtimes.limit_tensorflow_threads(self.threads)
            model = Classifier.load(path)
            forward, what = _main_head(model), {"variant": model.architecture.name}
        size = model.preprocessing.size
        batch_size = self.batch_size or DEFAULT_INFERENCE_BATCH_SIZE
        batch = (batch_size, *size, 3)
        machine.check_memory(math.prod(batch), "a batch", "Lower --batch-size.")
        images = np.random.default_rng(0).integers(0, 256, batch, np.uint8)
        timings = time_calls(
            lambda: forward(images), calls=self.repeats, warmup=INFERENCE_WARMUP_CALLS
        )
        macs = 0
        if isinstance(model, Classifier):
            macs = arithmetic.macs(
                model.architecture, classes=len(model.labels), image_size=size
            )
        options = what | {
            "batch_size": batch_size,
            "threads": self.threads,
            "image_size": list(size),
        }
        return _report("inference", options, timings, batch_size, macs)


def _main_head(classifier: Classifier) -> Callable[[np.ndarray], np.ndarray]:
    import tensorflow as tf

    call = tf.function(
        lambda x: classifier.network(x, training=False)["main"], jit_compile=False
    )
    return lambda images: call(tf.constant(images)).numpy()


@dataclass(frozen=True)
class Roof(Measurement):
    """Measures the peak matmul rate, with products of large matrices."""

    precision: Precision = "auto"  # Arithmetic; auto: float32 and mixed_bfloat16.

    def measure(self) -> MatmulReport:
        auto = self.precision == "auto"
        names = ("float32", "mixed_bfloat16") if auto else (self.precision,)
        rates = {name: _matmul_rate(name, self.repeats) for name in names}
        return {
            "what": "roof",
            # a multiply-add counts as two operations
            "gigaflops_per_cpu_second": {n: 2 * x / 1e9 for n, x in rates.items()},
            "environment": machine.environment(),
        }


@dataclass(frozen=True)
class Benchmark:
    """Measures speed after a warm-up: median and spread, in wall and CPU seconds."""

    what: Annotated[TrainingStep | InputPipeline | Inference | Roof, arg(name="")]

    def run(self) -> None:
        self.what.run()


def _options(options: object, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names}


def _report(
    what: Measured,
    options: dict[str, Any],
    timings: Timings,
    images: int,
    macs: int = 0,
    precision: str = "float32",
) -> BenchmarkReport:
    """Builds the report of a benchmark; each repeat processes `images` images.

    macs: multiply-adds for one image, 0 if unknown.
    """
    import tensorflow as tf

    seconds, cpu_seconds = (spread(x / images) for x in (timings.wall, timings.cpu))
    share = None
    if macs and not tf.config.list_physical_devices("GPU"):  # which spends no CPU time
        share = macs / cpu_seconds["median"] / _matmul_rate(precision)
    return {
        "what": what,
        "options": options,
        "repeats": len(timings.wall),
        "images_per_second": 1 / seconds["median"],
        "seconds_per_image": seconds,
        "cpu_seconds_per_image": cpu_seconds,
        "share_of_roof": share,
        "peak_megabytes": stopwatch.peak_megabytes(),
        "environment": machine.environment(),
    }


def _matmul_rate(precision: str, repeats: int = MATMUL_REPEATS) -> float:
    """Multiply-adds per CPU second of a product of two matrices."""
    import tensorflow as tf

    shape, dtype = [MATRIX_SIDE] * 2, precision.removeprefix("mixed_")
    left = tf.cast(tf.random.stateless_normal(shape, [1, 2]), dtype)
    right = tf.cast(tf.random.stateless_normal(shape, [3, 4]), dtype)
    product = tf.function(tf.matmul)
    timings = time_calls(lambda: product(left, right), calls=repeats)
    return MATRIX_SIDE**3 / spread(timings.cpu)["median"]


def _print(report: BenchmarkReport | MatmulReport | PhoneReport) -> None:
    if report["what"] == "roof":
        for name, rate in report["gigaflops_per_cpu_second"].items():
            print(f"{name}: {rate:.0f} GFLOP per CPU second")
        return
    if "milliseconds" in report:
        print_text(phone_text(cast(PhoneReport, report)))
        return
    cpu = report["cpu_seconds_per_image"]
    options = ", ".join(f"{name} {value}" for name, value in report["options"].items())
    print_text(
        f"{report['what']}: {options}\n"
        f"{1 / cpu['median']:.1f} images per CPU second (10th to 90th percentile "
        f"{1 / cpu['p90']:.1f} to {1 / cpu['p10']:.1f}), "
        f"{report['images_per_second']:.1f} images per second"
    )
    if report["share_of_roof"] is not None:
        print(f"{report['share_of_roof']:.0%} of this machine's peak matmul rate")
