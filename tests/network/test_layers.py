import keras
import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras.network.layers import (
    FusedBatchNormalization,
    LocalResponseNormalization,
    PortableResponseNormalization,
)


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(3, 2, (4, 5, 5, 6)).astype("float32")


def test_training_normalizes_by_the_batch(images):
    layer = FusedBatchNormalization(epsilon=1e-3, momentum=0.9)
    result = layer(images, training=True).numpy()
    mean, variance = images.mean((0, 1, 2)), images.var((0, 1, 2))
    expected = (images - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(result, expected, atol=1e-4)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-4)
    unbiased = variance * 100 / 99  # 4 * 5 * 5 values a channel
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * unbiased, rtol=1e-4)


def test_inference_equals_keras_with_the_same_weights(images):
    ours, keras_layer = FusedBatchNormalization(), keras.layers.BatchNormalization()
    ours(images)
    keras_layer(images)
    values = [np.linspace(0.5, 2, 6, dtype="float32") + i for i in range(4)]
    ours.set_weights(values)
    keras_layer.set_weights(values)
    np.testing.assert_allclose(ours(images), keras_layer(images), atol=1e-5)


def test_frozen_it_neither_uses_nor_moves_the_batch(images):
    layer = FusedBatchNormalization()
    layer.trainable = False
    result = layer(images, training=True)
    np.testing.assert_allclose(result, images / np.sqrt(1.001), rtol=1e-4)
    assert not np.any(layer.moving_mean)


def test_without_scale_there_is_no_gamma(images):
    layer = FusedBatchNormalization(scale=False)
    layer(images)
    assert [v.name for v in layer.weights] == ["beta", "moving_mean", "moving_variance"]


def test_gradients_equal_those_of_the_formula(images):
    layer = FusedBatchNormalization()
    layer.build(images.shape)
    x = tf.constant(images)
    weights = tf.random.stateless_normal(x.shape, [1, 2])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours = tf.reduce_sum(layer(x, training=True) * weights)
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        plain = tf.reduce_sum((x - mean) / tf.sqrt(variance + 1e-3) * weights)
    np.testing.assert_allclose(
        tape.gradient(ours, x), tape.gradient(plain, x), atol=1e-4
    )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_float32_statistics(images, policy):
    layer = FusedBatchNormalization(dtype=policy)
    result = layer(images, training=True)
    assert result.dtype == policy.removeprefix("mixed_")
    assert {v.dtype for v in layer.weights} == {"float32"}
    mean = images.mean((0, 1, 2))
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=2e-2)
    expected = FusedBatchNormalization()(images, training=True)
    np.testing.assert_allclose(tf.cast(result, "float32"), expected, atol=3e-2)


@pytest.mark.parametrize("channels", [8, 24, 32])
@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_of_any_width_is_as_float32(channels, training):
    rng = np.random.default_rng(1)
    x = tf.cast(rng.normal(1, 2, (2, 5, 4, channels)).astype("float32"), "bfloat16")
    weights = tf.cast(rng.normal(size=x.shape).astype("float32"), "bfloat16")
    found = []
    for dtype in ("float32", "bfloat16"):
        layer = FusedBatchNormalization(dtype=dtype)
        layer.build(x.shape)
        layer.gamma.assign(np.linspace(0.5, 1.5, channels))
        layer.beta.assign(np.linspace(-1, 1, channels))
        y, gradient = _with_gradient(layer, tf.cast(x, dtype), weights, training)
        moved = tf.concat([layer.moving_mean, layer.moving_variance], 0)
        found.append((y, gradient, moved))
    for exact, rounded in zip(*found, strict=True):
        assert exact.shape == rounded.shape
        np.testing.assert_allclose(tf.cast(rounded, "float32"), exact, atol=0.04)


def _with_gradient(layer, x, weights, training):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
    return y, tape.gradient(y, x, tf.cast(weights, x.dtype))


def test_both_layers_are_saved_in_a_keras_file(tmp_path, images):
    image = keras.Input((5, 5, 6))
    x = FusedBatchNormalization(scale=False, epsilon=0.1, name="norm")(image)
    model = keras.Model(image, LocalResponseNormalization(size=3, alpha=0.5)(x))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(images), model(images))
    assert loaded.get_layer("norm").epsilon == 0.1


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
