import doctest
from dataclasses import replace

import keras
import numpy as np
import pytest
from making import classifier, two_modules

import googlenet_keras
from googlenet_keras import models
from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.architecture.arithmetic import parameters
from googlenet_keras.architecture.variants import PAPER
from googlenet_keras.errors import UserError
from googlenet_keras.models import build
from googlenet_keras.network.weights import named_weights

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
LABELS = np.arange(8) % 3
SMALL = {"classes": 3, "image_size": 64, "width": 0.125}


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """A saved paper classifier of 7 classes with both heads, for 64 pixels."""
    made = classifier("paper", whole=True)
    made.save(folder := tmp_path_factory.mktemp("paper"))
    return made, folder


def test_the_public_name():
    assert googlenet_keras.build is build


@pytest.mark.slow
def test_the_examples_run_and_keras_fits_all_heads():
    text = models.__doc__
    wide = '"bn", classes=3, image_size=64, width=0.25'
    assert text.count(wide) == 2
    quicker = text.replace(wide, "SMALL, classes=3, image_size=64")
    names = {"np": np, "keras": keras, "build": build, "SMALL": two_modules()}
    examples = doctest.DocTestParser().get_doctest(quicker, names, "models", None, 0)
    keras.utils.set_random_seed(0)
    assert not doctest.DocTestRunner().run(examples, clear_globs=False).failed
    history = examples.globs["network"].history.history
    assert set(history) == {"loss", "main_loss", "aux1_loss", "aux2_loss"}
    assert np.isfinite(history["loss"]).all()


def loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.slow
def test_keras_fits_one_output_on_plain_labels():
    keras.utils.set_random_seed(0)
    network = build(two_modules("paper"), auxiliary=False, classes=3, image_size=64)
    network.compile(keras.optimizers.Adam(1e-3), loss(), metrics=["accuracy"])
    history = network.fit(IMAGES, LABELS, epochs=20, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert network.predict(IMAGES, verbose=0)["main"].shape == (8, 3)


@pytest.mark.slow
def test_defaults_are_the_bn_network_for_imagenet():
    network = build(auxiliary=False)
    assert network.output["main"].shape == (None, 1000)
    assert network.input_shape == (None, 224, 224, 3)
    assert sum(int(np.prod(v.shape)) for v in network.trainable_weights) == parameters()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pooling", "shape"),
    [
        (None, (8, 2, 2, 128)),
        ("avg", (8, 128)),
        pytest.param("max", (8, 128), marks=pytest.mark.exhaustive),
    ],
)
def test_features_of_the_pretrained_trunk(paper, pooling, shape):
    made, folder = paper
    network = build(weights=folder, include_top=False, pooling=pooling)
    found = network.predict(IMAGES, verbose=0)
    assert found.shape == shape
    inner = made.network.get_layer("average_pool").input
    maps = keras.Model(made.network.input, inner).predict(IMAGES, verbose=0)
    reduce = {None: lambda x: x, "avg": lambda x: x.mean((1, 2)),
              "max": lambda x: x.max((1, 2))}[pooling]  # fmt: skip
    np.testing.assert_allclose(found, reduce(maps), rtol=1e-4, atol=1e-5)
    assert not [v.path for v in network.weights if "aux" in v.path or "main" in v.path]


@pytest.mark.slow
def test_weights_bring_their_network_classes_and_image_size(paper):
    made, folder = paper
    network = build(weights=str(folder))
    assert list(network.output) == ["main", "aux1", "aux2"]
    for head, logits in network.predict(IMAGES, verbose=0).items():
        expected = made.network.predict(IMAGES, verbose=0)[head]
        np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("joint", [False, True])
def test_with_another_number_of_classes_the_last_layers_start_anew(paper, joint):
    made, folder = paper
    network = build("paper", weights=folder, classes=4, joint=joint)
    before, after = named_weights(made.network), named_weights(network)
    for name, value in after.items():
        if name.split("/")[0] in ("main", "aux1", "aux2"):
            assert value.shape[-1] == 4
        else:
            np.testing.assert_array_equal(value, before[name])
    assert np.abs(after["main/kernel"]).max() < 0.06  # of its initialization


@pytest.mark.slow
def test_an_architecture_may_change_what_has_no_weights(paper):
    made, folder = paper
    network = build(replace(made.architecture, dropout=0.6), weights=folder)
    assert network.get_layer("dropout").rate == 0.6
    with pytest.raises(UserError, match="another network's"):
        build(PAPER, weights=folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"include_top": False, "classes": 10}, "top=False excludes classes=10; drop"),
        ({"pooling": "avg"}, "'avg' needs include_top=False; give it"),
        ({"include_top": False, "pooling": "mean"}, "one of avg, max; received 'mean'"),
        ({"weights": "torchvision", "width": 0.5}, "leave out width, widths"),
        ({"weights": "torchvision", "head": "dense"}, "widths, module and head"),
        ({"module": "navie"}, "Did you mean 'naive'"),
        ({"variant": "papr"}, "Did you mean 'paper'"),
        ({"classes": 0}, r"at least 2 and at most 1000000; received 0\."),
        ({"image_size": 16}, "at least 32 pixels"),
    ],
)
def test_contradictions_and_values_out_of_range(options, message):
    with pytest.raises(UserError, match=message):
        build(**options)


def test_what_the_paper_argues_against():
    options = {"classes": 3, "image_size": 32, "auxiliary": False, "width": 0.125}
    network = build("bn", module="naive", head="dense", **options)
    arch = ablate("bn", module="naive", head="dense").scale_width(0.125)
    assert sum(int(np.prod(v.shape)) for v in network.trainable_weights) == parameters(
        arch, classes=3, image_size=32
    )
    features = build(arch, image_size=64, include_top=False, pooling="avg")
    (last,) = (row for row in arch.rows if row.name == "inception_5b")
    assert features.output_shape == features.layers[-1].input.shape[::3]
    assert not [v.path for v in features.weights if "main" in v.path]
    assert last.pool_proj is None


@pytest.mark.slow
def test_weights_with_reductions_are_not_those_of_a_naive_network(paper):
    made, folder = paper
    naive = ablate(made.architecture, module="naive")
    with pytest.raises(UserError, match=r"another network's: .* left over: .*_reduce"):
        build(naive, weights=folder)


@pytest.mark.slow
def test_a_dense_head_starts_anew_on_the_trunk_of_the_weights(paper):
    made, folder = paper
    network = build(ablate(made.architecture, head="dense"), weights=folder)
    before, after = named_weights(made.network), named_weights(network)
    assert after["main_fc/kernel"].shape == (2 * 2 * 128, 1024)
    for name in before.keys() - {"main/kernel", "main/bias"}:
        np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.slow
def test_weights_of_another_variant(paper):
    with pytest.raises(UserError, match="'bn'"):
        build("bn", weights=paper[1])
