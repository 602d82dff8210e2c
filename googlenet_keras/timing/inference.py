"""Milliseconds of one forward pass of a Classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from googlenet_keras.architecture import arithmetic
from googlenet_keras.classifier import Classifier
from googlenet_keras.timing.measure import measure, report
from googlenet_keras.timing.roof import roof


def inference(
    folder: Path, *, batch_size: int, threads: int, repeats: int
) -> dict[str, Any]:
    """Times the main head of the Classifier in `folder` on random images, float32.

    threads: of TensorFlow within one operation; 0: as many as there are cores. It can
    be set before TensorFlow's first operation only.
    """
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    classifier = Classifier.load(folder)
    size = (classifier.preprocessing.height, classifier.preprocessing.width)
    random = np.random.default_rng(0)
    images = tf.constant(random.integers(0, 256, (batch_size, *size, 3), np.uint8))
    forward = tf.function(
        lambda x: classifier.network(x, training=False)["main"], jit_compile=False
    )
    timings = measure(lambda: forward(images).numpy(), repeats, warmup=5)
    macs = arithmetic.macs(
        classifier.architecture, classes=len(classifier.labels), image_size=size
    )
    rate = 2 * macs * batch_size / 1e9 / timings.per(1)["cpu_seconds"]["median"]
    options = {
        "variant": classifier.architecture.name,
        "batch_size": batch_size,
        "image_size": list(size),
        "threads": threads,
    }
    share = rate / roof("float32")
    return report("inference", options, timings, batch_size, share)
