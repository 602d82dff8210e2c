"""Milliseconds of one forward pass of a Classifier or an exported file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.architecture import arithmetic
from googlenet_keras.artifacts.artifact import open_exported
from googlenet_keras.artifacts.runtimes import is_exported, limit_threads
from googlenet_keras.classifier import Classifier
from googlenet_keras.stopwatch import time_calls
from googlenet_keras.timing.benchmark_report import report
from googlenet_keras.timing.roof import roof

Forward = Callable[[np.ndarray], object]


def inference(
    path: Path, *, batch_size: int, threads: int, repeats: int
) -> dict[str, Any]:
    """Times the main head of what is at `path` on random images.

    A Classifier runs in TensorFlow in float32, an exported file in its own runtime.
    share_of_roof is known for a Classifier alone. threads: 0 for as many as there are
    cores; TensorFlow takes them before its first operation only.
    """
    share_of = None
    if is_exported(path):
        exported = open_exported(path, threads)
        forward, geometry = exported.probabilities, exported.preprocessing
        what = {"file": path.name}
    else:
        if threads:
            limit_threads(threads)
        classifier = Classifier.load(path)
        forward, geometry = _forward(classifier), classifier.preprocessing
        what = {"variant": classifier.architecture.name}
        share_of = _gigaflops(classifier)
    size = (geometry.height, geometry.width)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch_size, *size, 3), np.uint8)
    timings = time_calls(lambda: forward(images), calls=repeats, warmup=5)
    options = what | {
        "batch_size": batch_size,
        "image_size": list(size),
        "threads": threads,
    }
    share = None
    if share_of:
        seconds = timings.per(batch_size)["cpu_seconds"]["median"]
        share = share_of / seconds / roof("float32")
    return report("inference", options, timings, batch_size, share)


def _forward(classifier: Classifier) -> Forward:
    import tensorflow as tf

    call = tf.function(
        lambda x: classifier.network(x, training=False)["main"], jit_compile=False
    )
    return lambda images: call(tf.constant(images)).numpy()


def _gigaflops(classifier: Classifier) -> float:
    """Of one image: twice the multiply-adds of the network without auxiliary heads."""
    geometry = classifier.preprocessing
    macs = arithmetic.macs(
        classifier.architecture,
        classes=len(classifier.labels),
        image_size=(geometry.height, geometry.width),
    )
    return 2 * macs / 1e9
