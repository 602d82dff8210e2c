"""What this machine computes fastest, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from googlenet_keras import machine

HALF_PRECISION_GPU = (7, 0)  # compute capability of the first tensor cores (Volta)
BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


def choose_precision(wanted: str) -> tuple[str, str]:
    """(policy, reason) for "auto", or the policy that was asked for."""
    if wanted != "auto":
        return wanted, "as asked for"
    gpu = _gpu_capability()
    if gpu is not None:
        known = f"the GPU has compute capability {gpu[0]}.{gpu[1]}"
        if gpu >= HALF_PRECISION_GPU:
            return "mixed_float16", known
        return "float32", f"{known}, below 7.0"
    flags = [flag for flag in BFLOAT16_FLAGS if flag in machine.cpu_flags()]
    if flags:
        return "mixed_bfloat16", f"no GPU, and the processor has {flags[0]}"
    return "float32", "no GPU, and the processor has neither AVX512_BF16 nor AMX"


def device_names() -> list[str]:
    """The devices that compute: GPUs by model, or the CPU."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    found = (tf.config.experimental.get_device_details(gpu) for gpu in gpus)
    return [details.get("device_name", "GPU") for details in found] or ["CPU"]


def use_xla(wanted: str) -> bool:
    """Whether to compile with XLA; on a CPU it is slower than the oneDNN kernels."""
    if wanted != "auto":
        return wanted == "on"
    return _gpu_capability() is not None


@contextmanager
def precision_policy(name: str) -> Iterator[None]:
    """Keras's global dtype policy within the block."""
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
