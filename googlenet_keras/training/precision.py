"""Chooses the fastest precision for this machine, and whether to use XLA."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

from googlenet_keras import machine

Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]
HALF_PRECISION_CAPABILITY = (7, 0)  # of GPUs with tensor cores (Volta and later)
BFLOAT16_CPU_FLAGS = ("avx512_bf16", "amx_bf16")


def choose_precision(wanted: str) -> tuple[Precision, str]:
    """Returns (policy, reason): the fastest for "auto", else the one that is wanted."""
    if wanted != "auto":
        return cast(Precision, wanted), "as requested"
    gpu = _gpu_capability()
    if gpu is not None:
        capability = f"the GPU has compute capability {gpu[0]}.{gpu[1]}"
        if gpu >= HALF_PRECISION_CAPABILITY:
            return "mixed_float16", capability
        return "float32", f"{capability}, below 7.0"
    flags = [flag for flag in BFLOAT16_CPU_FLAGS if flag in machine.cpu_flags()]
    if flags:
        return "mixed_bfloat16", f"no GPU, and the processor has {flags[0]}"
    return "float32", "no GPU, and the processor has neither AVX512_BF16 nor AMX"


def device_names() -> list[str]:
    """The models of all GPUs, or ["CPU"]."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return [gpu.get("device_name", "GPU") for gpu in details] or ["CPU"]


def use_xla(wanted: str) -> bool:
    """Whether to compile with XLA; on a CPU it is slower than the oneDNN kernels."""
    if wanted != "auto":
        return wanted == "on"
    return _gpu_capability() is not None


@contextmanager
def precision_policy(name: str) -> Iterator[None]:
    """Sets Keras's global dtype policy within the block."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _gpu_capability() -> tuple[int, int] | None:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return None
    details = tf.config.experimental.get_device_details(gpus[0])
    return details.get("compute_capability", (0, 0))
