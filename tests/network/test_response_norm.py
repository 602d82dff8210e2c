import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras.network.response_norm import (
    LocalResponseNormalization,
    PortableResponseNormalization,
)


def lrn(x, size, alpha, beta, k):
    """Caffe's formula, one channel at a time."""
    result = np.empty_like(x)
    for channel in range(x.shape[-1]):
        low, high = max(0, channel - size // 2), channel + size // 2 + 1
        total = np.square(x[..., low:high]).sum(-1)
        result[..., channel] = x[..., channel] / (k + alpha / size * total) ** beta
    return result


def test_response_norm_is_caffes_formula():
    x = np.arange(36, dtype="float32").reshape(1, 2, 2, 9) * 20
    layer = LocalResponseNormalization()
    expected = lrn(x, 5, 1e-4, 0.75, 1.0)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5)
    undivided = lrn(x, 5, 5e-4, 0.75, 1.0)  # alpha that forgets Caffe's division
    assert not np.allclose(layer(x), undivided, rtol=1e-2)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_response_norm_computes_in_float32(policy):
    x = np.full((1, 1, 1, 5), 30000.0, "float32")  # its square overflows float16
    result = LocalResponseNormalization(dtype=policy)(x)
    assert result.dtype == policy.removeprefix("mixed_")
    expected = lrn(x, 5, 1e-4, 0.75, 1.0)
    np.testing.assert_allclose(tf.cast(result, "float32"), expected, rtol=1e-2)


@pytest.mark.parametrize("channels", [1, 3, 9, 64, 192, 197])
def test_the_portable_response_norm_is_the_same(channels):
    x = np.random.default_rng(0).normal(0, 90, (2, 3, 3, channels)).astype("float32")
    expected = LocalResponseNormalization(size=5, alpha=0.01, k=2.0)(x)
    found = PortableResponseNormalization(size=5, alpha=0.01, k=2.0)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.abs(expected / x).max() < 0.7  # it does normalize
    with pytest.raises(ValueError, match=r"0\.75; received 0\.5"):
        PortableResponseNormalization(beta=0.5)
