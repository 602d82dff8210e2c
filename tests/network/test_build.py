from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from making import classifier
from scipy.special import softmax

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.architecture.table1 import Conv, Inception
from googlenet_keras.architecture.variants import BATCH_NORM, VARIANTS
from googlenet_keras.artifacts.deployable import deployable_network
from googlenet_keras.errors import UserError
from googlenet_keras.network.build import add_activation_map, build_network
from googlenet_keras.network.weights import assign_weights, named_weights

TINY = {"classes": 3, "width": 0.125}
ABLATED = ablate("bn", module="naive", head="dense")
PARTLY_NAIVE = replace(  # 1x1 convolutions alone can be joined: here two of three
    BATCH_NORM,
    rows=tuple(
        replace(row, reduce3x3=None) if isinstance(row, Inception) else row
        for row in BATCH_NORM.rows
    ),
)


def trainable(model) -> int:
    return sum(int(np.prod(v.shape)) for v in model.trainable_weights)


def multiply_adds(model) -> int:
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            positions = np.prod(layer.output.shape[1:-1], dtype=int)
            total += int(np.prod(layer.kernel.shape) * positions)
    return total


@pytest.fixture(scope="module", params=list(VARIANTS))
def full(request):
    """(variant, its network of 1000 classes with both heads)."""
    return request.param, build_network(request.param)


WITH_HEADS = {"paper": 13_378_280, "bn": 13_385_816, "torchvision": 13_004_888}
DEPLOYED = {
    "paper": 6_998_552,
    "bn": 7_005_832,
    "torchvision": 6_624_904,
    "slim": 5_607_184 - 2 * 7_280 + 1_025_000,  # its trunk, no statistics, a classifier
}
MULTIPLY_ADDS = {
    "paper": 1_582_671_872,
    "bn": 1_582_671_872,
    "torchvision": 1_498_376_192,
    "slim": 1_498_376_192,
}


@pytest.mark.slow
def test_the_built_network_counts_as_the_table_does(full):
    variant, model = full
    assert trainable(model) == arithmetic.parameters(variant, auxiliary=True)
    assert trainable(model) == WITH_HEADS.get(variant, trainable(model))
    by_name = {x.name: x for x in arithmetic.layers(variant, 1000, 224, True)}
    weighted = [x for x in model.layers if hasattr(x, "kernel")]
    assert {x.name for x in weighted} == set(by_name)
    for layer in weighted:
        assert np.prod(layer.kernel.shape) == by_name[layer.name].weights


@pytest.mark.slow
def test_the_deployable_network_counts_as_published(full):
    variant, _ = full
    model = build_network(variant, auxiliary=False)
    assert list(model.output) == ["main"]
    assert trainable(model) == DEPLOYED[variant]
    assert multiply_adds(model) == MULTIPLY_ADDS[variant]


def test_slims_trunk_has_5_607_184_values():
    model = build_network("slim", auxiliary=False)
    counted = sum(
        int(np.prod(v.shape)) for v in model.weights if not v.path.startswith("main")
    )
    assert counted == 5_607_184


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant", [*VARIANTS.values(), ABLATED], ids=lambda arch: arch.name
)
@pytest.mark.parametrize(
    "size",
    [47, (64, 97), *(pytest.param(x, marks=pytest.mark.exhaustive) for x in (32, 130))],
)
def test_any_size_from_32_pixels_has_the_maps_of_the_arithmetic(variant, size):
    model = build_network(variant, image_size=size, **TINY)
    arch = variant.scale_width(0.125)
    for stage in arithmetic.iterate_stages(arch, 3, size, auxiliary=False):
        if stage.output[0] > 1:
            assert model.get_layer(stage.name).output.shape[1:] == stage.output
    assert trainable(model) == arithmetic.parameters(
        arch, classes=3, image_size=size, auxiliary=True
    )
    image = np.zeros((2, *arithmetic.height_and_width(size), 3), "uint8")
    shapes = {head: logits.shape for head, logits in model(image).items()}
    assert shapes == dict.fromkeys(("main", "aux1", "aux2"), (2, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "policy"),
    [
        ("bn", "mixed_float16"),
        ("paper", "mixed_bfloat16"),
        pytest.param("bn", "mixed_bfloat16", marks=pytest.mark.exhaustive),
        pytest.param("paper", "mixed_float16", marks=pytest.mark.exhaustive),
    ],
)
def test_logits_are_float32_and_close_under_any_precision(variant, policy):
    keras.utils.set_random_seed(0)
    exact = build_network(variant, image_size=64, **TINY)
    keras.config.set_dtype_policy(policy)
    try:
        model = build_network(variant, image_size=64, **TINY)
    finally:
        keras.config.set_dtype_policy("float32")
    model.set_weights(exact.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    for head, logits in model(images).items():
        assert logits.dtype == "float32"
        np.testing.assert_allclose(logits, exact(images)[head], atol=0.1)


def test_bytes_and_floats_mean_the_same():
    model = build_network(image_size=32, auxiliary=False, **TINY)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    as_bytes, as_floats = model(images), model(images.astype("float32"))
    np.testing.assert_array_equal(as_bytes["main"], as_floats["main"])


@pytest.mark.slow
def test_pixels_enter_as_each_variant_wants_them():
    image = np.tile(np.float32([255, 0, 127.5]), (1, 32, 32, 1))
    entered = {}
    for variant in ("bn", "paper"):
        model = build_network(variant, image_size=32, **TINY)
        pixels = keras.Model(model.input, model.get_layer("pixels").output)
        entered[variant] = pixels(image)[0, 0, 0].numpy()
    np.testing.assert_allclose(entered["bn"], [1, -1, 0], atol=1e-6)
    np.testing.assert_allclose(entered["paper"], [132, -117, 23.5], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "first"), [("torchvision", 3), ("paper", 3), ("slim", 2)]
)
def test_conv1_sees_the_pixels_that_its_padding_says(variant, first):
    model = build_network(variant, image_size=32, **TINY)
    conv1 = keras.Model(
        model.get_layer("pixels").output, model.get_layer("conv1_7x7_s2").output
    )
    kernel = np.zeros(model.get_layer("conv1_7x7_s2").kernel.shape, "float32")
    kernel[0, 0, 0] = 1  # the window's first value: pixel 2 i - (zeros before)
    model.get_layer("conv1_7x7_s2").kernel.assign(kernel)
    image = np.zeros((1, 32, 32, 3), "float32")
    image[0, :, :, 0] = np.arange(32)[:, None] * 100 + np.arange(32) + 1
    seen = conv1(image)[0, 2, 2, 0]
    assert seen == image[0, 4 - first, 4 - first, 0]


@pytest.mark.parametrize(("variant", "starts"), [("paper", 0), ("slim", 1)])
def test_odd_maps_are_pooled_in_ceil_mode_or_as_tensorflow_does(variant, starts):
    model = build_network(variant, image_size=(58, 58), **TINY)  # conv1 gives 29 x 29
    pool = model.get_layer("pool1_3x3_s2")
    x = np.arange(29 * 29, dtype="float32").reshape(1, 29, 29, 1)
    padding = "same" if starts else "valid"
    assert pool.padding == padding
    pooled = pool(np.repeat(x, 8, -1))[0, :, :, 0].numpy()
    assert pooled.shape == ((15, 15) if starts else (14, 14))
    assert pooled[0, 0] == (29 * 1 + 1 if starts else 29 * 2 + 2)


def test_torchvisions_auxiliary_pool_is_adaptive():
    model = build_network("torchvision", image_size=224, **TINY)
    pool = model.get_layer("aux1_pool")
    x = np.tile(np.arange(14, dtype="float32")[None, :, None, None], (1, 1, 14, 64))
    rows = pool(x)[0, :, 0, 0].numpy()
    # windows of 4 from 0, 3, 7 and 10: PyTorch's floor(i * 14 / 4)
    np.testing.assert_allclose(rows, [1.5, 4.5, 8.5, 11.5])


def test_papers_auxiliary_pool_is_5x5_stride_3():
    model = build_network("paper", image_size=224, **TINY)
    x = np.tile(np.arange(14, dtype="float32")[None, :, None, None], (1, 1, 14, 64))
    rows = model.get_layer("aux1_pool")(x)[0, :, 0, 0].numpy()
    np.testing.assert_allclose(rows, [2, 5, 8, 11])


def test_concatenation_is_in_the_papers_order():
    model = build_network(image_size=32, auxiliary=False, classes=2)
    joined = model.get_layer("inception_3a").input
    assert [x.shape[-1] for x in joined] == [64, 128, 32, 32]


def test_a_naive_module_joins_its_branches_and_its_pooled_input():
    model = build_network(ABLATED, image_size=32, auxiliary=False, **TINY)
    joined = model.get_layer("inception_3a").input
    assert [x.shape[-1] for x in joined] == [8, 16, 8, 24]
    assert joined[3] is model.get_layer("inception_3a_pool").output


def test_a_dense_head_reads_every_place_of_the_last_map():
    model = build_network(ABLATED, image_size=64, auxiliary=False, **TINY)
    channels = model.get_layer("inception_5b").output.shape[-1]
    assert model.get_layer("main_fc").kernel.shape == (2 * 2 * channels, 128)
    assert model.get_layer("main_fc").activation is keras.activations.relu
    assert model.get_layer("main").input.shape == (None, 128)
    with pytest.raises(UserError, match="need global average pooling"):
        add_activation_map(model)


def test_caffe_initialization():
    model = build_network("paper", image_size=32, initialization="caffe", **TINY)
    layer = model.get_layer("inception_5b_1x1")
    limit = np.sqrt(3 / layer.kernel.shape[2])
    assert np.abs(layer.kernel).max() <= limit
    assert np.std(layer.kernel) == pytest.approx(limit / np.sqrt(3), rel=0.1)
    assert set(np.asarray(layer.bias)) == {np.float32(0.2)}
    assert not np.any(model.get_layer("main").bias)


def test_first_activations_neither_vanish_nor_explode():
    keras.utils.set_random_seed(0)
    model = build_network("paper", image_size=64, classes=10, auxiliary=False)
    images = np.random.default_rng(0).normal(120, 60, (4, 64, 64, 3)).clip(0, 255)
    for name in ("conv1_7x7_s2_relu", "inception_3b", "inception_5b"):
        part = keras.Model(model.input, model.get_layer(name).output)
        root_mean_square = float(tf.sqrt(tf.reduce_mean(part(images) ** 2)))
        assert 0.2 < root_mean_square < 10, name


def test_bad_arguments():
    with pytest.raises(UserError, match=r"at least 32 pixels; received 31\."):
        build_network(image_size=31)
    with pytest.raises(UserError, match="received 'gaussian'"):
        build_network(initialization="gaussian")
    with pytest.raises(UserError, match=r"at least 2.*received 1\."):
        build_network(classes=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant",
    [
        *("bn", PARTLY_NAIVE),
        *(pytest.param(x, marks=pytest.mark.exhaustive)
          for x in ("paper", "slim", ABLATED)),
    ],
)  # fmt: skip
def test_joint_convolutions_compute_the_same_with_the_same_weights(variant):
    keras.utils.set_random_seed(1)
    plain = build_network(variant, image_size=64, **TINY)
    joint = build_network(variant, image_size=64, joint=True, **TINY)
    weights = {
        name: value + np.random.default_rng(0).normal(0, 0.1, value.shape) ** 2
        for name, value in named_weights(plain).items()
    }
    for network in (plain, joint):
        assign_weights(network, weights)
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    gradients = {}
    for name, network in (("plain", plain), ("joint", joint)):
        logits = network(images)["main"]
        with tf.GradientTape() as tape:
            loss = sum(
                tf.reduce_sum(y**2) for y in network(images, training=False).values()
            )
        values = tape.gradient(loss, network.trainable_variables)
        paths = ["/".join(v.path.split("/")[-2:]) for v in network.trainable_variables]
        gradients[name] = (logits, dict(zip(paths, values, strict=True)))
    np.testing.assert_allclose(gradients["plain"][0], gradients["joint"][0], rtol=1e-4)
    for path, value in gradients["plain"][1].items():
        scale = np.abs(value).max() + 1e-6
        np.testing.assert_allclose(
            gradients["joint"][1][path] / scale, value / scale, atol=1e-3
        )


@pytest.mark.slow
def test_joint_batch_norm_moves_the_statistics_of_each_layer():
    plain = build_network("bn", image_size=32, **TINY)
    joint = build_network("bn", image_size=32, joint=True, **TINY)
    assign_weights(joint, named_weights(plain))
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    for network in (plain, joint):
        network(images, training=True)
    expected, found = named_weights(plain), named_weights(joint)
    for name in ("inception_3a_1x1_bn", "inception_3a_5x5_reduce_bn"):
        for statistic in ("moving_mean", "moving_variance"):
            path = f"{name}/{statistic}"
            np.testing.assert_allclose(found[path], expected[path], rtol=1e-4)
            assert not np.array_equal(found[path], np.round(found[path]))


@pytest.mark.slow
def test_a_joint_network_is_saved_in_a_keras_file(tmp_path):
    network = build_network("bn", image_size=32, joint=True, **TINY)
    network.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    image = np.full((1, 32, 32, 3), 90, "uint8")
    np.testing.assert_array_equal(loaded(image)["aux1"], network(image)["aux1"])


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["bn", "paper"])
def test_a_maps_mean_is_the_logit_of_its_class(variant):
    made = classifier(variant)
    images = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype("float32")
    before = made.logits(images)
    found = add_activation_map(made.network).predict_on_batch(images)
    assert list(found) == ["main", "aux1", "aux2", "activation_map"]
    maps = found.pop("activation_map")
    assert maps.shape == (2, 16, 16, 7)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), before["main"], atol=1e-4)
    for head, logits in found.items():
        np.testing.assert_allclose(logits, before[head], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["bn", "paper"])
def test_a_deployable_network_has_the_same_maps(variant):
    made = classifier(variant)
    images = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype("float32")
    found = add_activation_map(deployable_network(made)).predict_on_batch(images)
    assert set(found) == {"probabilities", "activation_map"}
    maps = add_activation_map(made.network).predict_on_batch(images)["activation_map"]
    np.testing.assert_allclose(found["activation_map"], maps, atol=1e-3)
    probabilities = softmax(maps.mean(axis=(1, 2)), axis=1)
    np.testing.assert_allclose(found["probabilities"], probabilities, atol=1e-4)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([Conv(f"c{i}", 2**16, 64) for i in range(2)], r"needs at least [\d,.]+ GB"),
        ([Conv("dropout", 8, 1)], "cannot be built: .*dropout"),
        ([Conv("a", 8, 1), Conv("a_relu", 8, 1)], "cannot be built: .*a_relu"),
        ([Conv(f"c{i}", 8, 64) for i in range(40)], "does not fit into its map"),
    ],
    ids=["memory", "reserved name", "name twice", "map"],
)
def test_a_network_that_cannot_be_built_is_one_message(rows, message):
    arch = replace(BATCH_NORM, rows=tuple(rows), heads=())
    with pytest.raises(UserError, match=message):
        build_network(arch, classes=3, image_size=32)
