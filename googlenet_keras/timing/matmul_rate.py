"""The peak rate at which this machine multiplies matrices."""

from collections.abc import Iterable

import tensorflow as tf

from googlenet_keras import machine
from googlenet_keras.stopwatch import time_calls
from googlenet_keras.timing.benchmark_report import MatmulReport

MATRIX_SIDE = 2048
MATMUL_REPEATS = 7
COMPUTE_TYPES = {
    "float32": "float32",
    "mixed_bfloat16": "bfloat16",
    "mixed_float16": "float16",
}


def matmul_rate(precision: str, repeats: int = MATMUL_REPEATS) -> float:
    """GFLOP per CPU second of a 2048 x 2048 matrix product in the compute type.

    precision: a dtype policy of Keras. A multiply-add counts as two operations.
    """
    dtype = COMPUTE_TYPES[precision]
    shape = [MATRIX_SIDE, MATRIX_SIDE]
    left = tf.cast(tf.random.stateless_normal(shape, [1, 2]), dtype)
    right = tf.cast(tf.random.stateless_normal(shape, [3, 4]), dtype)
    product = tf.function(tf.matmul)
    timings = time_calls(lambda: product(left, right), calls=repeats)
    return 2 * MATRIX_SIDE**3 / 1e9 / timings.per(1)["cpu_seconds"]["median"]


def time_matmul(precisions: Iterable[str], *, repeats: int) -> MatmulReport:
    """Measures `matmul_rate` in each of the `precisions`."""
    return {
        "what": "roof",
        "gigaflops_per_cpu_second": {
            name: matmul_rate(name, repeats) for name in precisions
        },
        "environment": machine.environment(),
    }
