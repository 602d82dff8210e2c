"""Chooses the fastest precision for this machine, and whether to use XLA."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from googlenet_keras import machine

HALF_PRECISION_CAPABILITY = (7, 0)  # of GPUs with tensor cores (Volta and later)
BFLOAT16_CPU_FLAGS = ("avx512_bf16", "amx_bf16")


def choose_precision(wanted: str) -> tuple[str, str]:
    """Returns (policy, reason): the fastest for "auto", else the one that is wanted."""
    if wanted != "auto":
        return wanted, "as requested"
    if gpus := _gpus():
        major, minor = gpus[0].get("compute_capability", (0, 0))
        reason = f"the GPU has compute capability {major}.{minor}"
        if (major, minor) >= HALF_PRECISION_CAPABILITY:
            return "mixed_float16", reason
        return "float32", f"{reason}, below 7.0"
    for flag in BFLOAT16_CPU_FLAGS:
        if flag in machine.cpu_flags():
            return "mixed_bfloat16", f"no GPU, and the processor has {flag}"
    return "float32", "no GPU, and the processor has neither AVX512_BF16 nor AMX"


def use_xla(wanted: str) -> bool:
    """Whether to compile with XLA; on a CPU it is slower than the oneDNN kernels."""
    return bool(_gpus()) if wanted == "auto" else wanted == "on"


def device_names() -> list[str]:
    """The models of all GPUs, or ["CPU"]."""
    return [gpu.get("device_name", "GPU") for gpu in _gpus()] or ["CPU"]


@contextmanager
def precision_policy(name: str) -> Iterator[None]:
    """Sets Keras's global dtype policy within the block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _gpus() -> list[dict[str, Any]]:
    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
