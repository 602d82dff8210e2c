"""One step of training: forward, backward and the optimiser's update, three heads."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from googlenet_keras.architecture import arithmetic
from googlenet_keras.stopwatch import time_calls
from googlenet_keras.timing.benchmark_report import report
from googlenet_keras.timing.roof import roof
from googlenet_keras.training import model
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.precision import (
    choose_precision,
    choose_xla,
    precision_policy,
)

PASSES = 3  # forward, gradients of activations, gradients of weights


def training_step(
    variant: str,
    *,
    width: float,
    batch_size: int,
    image_size: tuple[int, ...],
    classes: int,
    precision: str,
    repeats: int,
) -> dict[str, Any]:
    """Times train_on_batch on random images; share_of_roof is of the convolutions'.

    The operations counted are 3 x 2 x multiply-adds of the network with both heads.
    """
    policy, _ = choose_precision(precision)
    config = TrainConfig(
        variant=variant,
        width=width,
        image_size=image_size,
        batch_size=batch_size,
        epochs=1,
        xla="on" if choose_xla("auto") else "off",
    ).resolved({})
    size = arithmetic.height_and_width(image_size)
    images = tf.random.stateless_uniform((batch_size, *size, 3), [1, 2], 0, 255)
    labels = tf.random.stateless_uniform([batch_size], [3, 4], 0, classes, tf.int32)
    with precision_policy(policy):
        network = model.compiled(config, classes, steps=1000)
        truth = dict.fromkeys(network.output, labels)
        timings = time_calls(
            lambda: network.train_on_batch(images, truth), calls=repeats
        )
    arch = config.to_architecture()
    macs = arithmetic.macs(arch, classes=classes, image_size=size, auxiliary=True)
    work = PASSES * 2 * macs * batch_size / 1e9
    rate = work / timings.per(1)["cpu_seconds"]["median"]
    options = {
        "variant": variant,
        "width": width,
        "batch_size": batch_size,
        "image_size": list(size),
        "classes": classes,
        "precision": policy,
    }
    return report("training-step", options, timings, batch_size, rate / roof(policy))
