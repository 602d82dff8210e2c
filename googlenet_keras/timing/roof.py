"""The rate at which this machine multiplies large matrices: the roof of everything."""

from __future__ import annotations

import tensorflow as tf

from googlenet_keras.stopwatch import time_calls

SIDE = 2048
REPEATS = 7
TYPES = {
    "float32": "float32",
    "mixed_bfloat16": "bfloat16",
    "mixed_float16": "float16",
}


def roof(precision: str, repeats: int = REPEATS) -> float:
    """GFLOP per CPU second of a 2048 x 2048 product in `precision`'s arithmetic.

    One multiply-add counts as two operations.
    """
    dtype = TYPES[precision]
    left = tf.cast(tf.random.stateless_normal([SIDE, SIDE], [1, 2]), dtype)
    right = tf.cast(tf.random.stateless_normal([SIDE, SIDE], [3, 4]), dtype)
    product = tf.function(tf.matmul)
    timings = time_calls(lambda: product(left, right), calls=repeats)
    return 2 * SIDE**3 / 1e9 / timings.per(1)["cpu_seconds"]["median"]
