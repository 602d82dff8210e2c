import keras
import pytest

from googlenet_keras import machine
from googlenet_keras.training import precision


@pytest.mark.parametrize(
    ("gpu", "flags", "policy", "reason"),
    [
        ((7, 0), (), "mixed_float16", "compute capability 7.0"),
        ((6, 1), ("avx512_bf16",), "float32", "below 7.0"),
        (None, ("avx512_bf16",), "mixed_bfloat16", "avx512_bf16"),
        (None, ("amx_bf16",), "mixed_bfloat16", "amx_bf16"),
        (None, ("avx2",), "float32", "neither"),
    ],
)
def test_auto_is_what_the_machine_computes_fastest(
    monkeypatch, gpu, flags, policy, reason
):
    gpus = [{"compute_capability": gpu}] if gpu else []
    monkeypatch.setattr(precision, "_gpus", lambda: gpus)
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))
    chosen, why = precision.choose_precision("auto")
    assert chosen == policy
    assert reason in why


def test_a_requested_precision_is_used():
    assert precision.choose_precision("float32") == ("float32", "as requested")


def test_xla_never_switches_itself_on_without_a_gpu(monkeypatch):
    monkeypatch.setattr(precision, "_gpus", lambda: [])
    assert precision.use_xla("auto") is False
    assert precision.use_xla("on") is True
    monkeypatch.setattr(precision, "_gpus", lambda: [{}])
    assert precision.use_xla("auto") is True
    assert precision.use_xla("off") is False


def test_the_policy_is_restored():
    with precision.precision_policy("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"
