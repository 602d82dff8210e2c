"""The time of a training step: forward, backward and update, with all heads."""

from dataclasses import replace

import tensorflow as tf

from googlenet_keras.architecture import arithmetic
from googlenet_keras.stopwatch import time_calls
from googlenet_keras.timing.benchmark_report import BenchmarkReport, benchmark_report
from googlenet_keras.timing.matmul_rate import matmul_rate
from googlenet_keras.training import model
from googlenet_keras.training.options import Switch, TrainConfig
from googlenet_keras.training.precision import (
    choose_precision,
    precision_policy,
    use_xla,
)

PASSES_PER_STEP = 3  # forward, gradients of activations, gradients of weights
SCHEDULED_STEPS = 1000  # of the learning rate; any number costs the same


def time_training_step(
    config: TrainConfig, *, classes: int, repeats: int
) -> BenchmarkReport:
    """Times train_on_batch on a batch of random images.

    share_of_roof counts 3 x 2 x multiply-adds of the network with both heads.
    """
    policy, _ = choose_precision(config.precision)
    xla: Switch = "on" if use_xla(config.xla) else "off"
    resolved = replace(config, xla=xla, epochs=1).resolve("photos")
    batch_size = resolved.batch_size
    size = arithmetic.height_and_width(resolved.image_size)
    images = tf.random.stateless_uniform((batch_size, *size, 3), [1, 2], 0, 255)
    labels = tf.random.stateless_uniform([batch_size], [3, 4], 0, classes, tf.int32)
    with precision_policy(policy):
        network = model.build_and_compile(resolved, classes, steps=SCHEDULED_STEPS)
        truth = dict.fromkeys(network.output, labels)
        timings = time_calls(
            lambda: network.train_on_batch(images, truth), calls=repeats
        )
    arch = resolved.network
    macs = arithmetic.macs(arch, classes=classes, image_size=size, auxiliary=True)
    gigaflops = PASSES_PER_STEP * 2 * macs * batch_size / 1e9
    rate = gigaflops / timings.per(1)["cpu_seconds"]["median"]
    options = {
        "variant": resolved.variant,
        "width": resolved.width,
        "batch_size": batch_size,
        "image_size": list(size),
        "classes": classes,
        "precision": policy,
    }
    share = rate / matmul_rate(policy)
    return benchmark_report("training-step", options, timings, batch_size, share)
