"""The time of a forward pass of a Classifier or an exported file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.architecture import arithmetic
from googlenet_keras.artifacts.artifact import Artifact
from googlenet_keras.artifacts.runtimes import is_artifact, limit_tensorflow_threads
from googlenet_keras.classifier import Classifier
from googlenet_keras.prediction import Predictor
from googlenet_keras.stopwatch import time_calls
from googlenet_keras.timing.benchmark_report import BenchmarkReport, benchmark_report
from googlenet_keras.timing.matmul_rate import matmul_rate

WARMUP_CALLS = 5
Forward = Callable[[np.ndarray], np.ndarray]


def time_inference(
    path: Path, *, batch_size: int, threads: int, repeats: int
) -> BenchmarkReport:
    """Times the main head of the model at `path` on random images.

    A Classifier runs in TensorFlow in float32, an exported file in its own runtime.
    share_of_roof is known for a Classifier only. threads: 0 for one per core; they can
    be set before TensorFlow's first operation only.
    """
    model: Predictor
    forward: Forward
    if is_artifact(path):
        model = Artifact.load(path, threads)
        forward, what = model.probabilities, {"file": path.name}
    else:
        if threads:
            limit_tensorflow_threads(threads)
        model = Classifier.load(path)
        forward, what = _forward(model), {"variant": model.architecture.name}
    size = (model.preprocessing.height, model.preprocessing.width)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch_size, *size, 3), np.uint8)
    timings = time_calls(lambda: forward(images), calls=repeats, warmup=WARMUP_CALLS)
    options: dict[str, Any] = what | {
        "batch_size": batch_size,
        "image_size": list(size),
        "threads": threads,
    }
    share = None
    if isinstance(model, Classifier):
        seconds = timings.per(batch_size)["cpu_seconds"]["median"]
        share = _gigaflops(model) / seconds / matmul_rate("float32")
    return benchmark_report("inference", options, timings, batch_size, share)


def _forward(classifier: Classifier) -> Forward:
    import tensorflow as tf

    call = tf.function(
        lambda x: classifier.network(x, training=False)["main"], jit_compile=False
    )
    return lambda images: call(tf.constant(images)).numpy()


def _gigaflops(classifier: Classifier) -> float:
    """GFLOP per image, two operations per multiply-add, without auxiliary heads."""
    geometry = classifier.preprocessing
    macs = arithmetic.macs(
        classifier.architecture,
        classes=len(classifier.labels),
        image_size=(geometry.height, geometry.width),
    )
    return 2 * macs / 1e9
