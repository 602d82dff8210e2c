"""Narrower networks within the widest one: their answers, training and scores."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from making import randomize, small_run, two_modules
from tuning_parts import budget

from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.architecture.channels import channel_sources, convolutions
from googlenet_keras.architecture.table1 import Inception
from googlenet_keras.architecture.variants import VARIANTS
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.evaluate import evaluate
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import weight_name
from googlenet_keras.training.model import SmoothedCrossEntropy
from googlenet_keras.training.sgd import MomentumSGD
from googlenet_keras.tuning import shared_weights
from googlenet_keras.tuning.shared_weights import (
    STATISTICS_BATCHES,
    Sandwich,
    SharedWeightsModel,
    narrow,
    train_shared_weights,
)
from googlenet_keras.tuning.space import Space

SIZE, CLASSES = 32, 7
# sums of the same products in another order
TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}


def without_dropout(arch):
    return replace(arch, dropout=0.0, auxiliary_dropout=0.0)


def random_widths(arch, seed=0):
    """Another number of channels for each convolution, 1 to all but one."""
    random = np.random.default_rng(seed)
    widths = {name: arch.widths()[name] for name in convolutions(arch)}
    return {name: int(random.integers(1, most)) for name, most in widths.items()}


def build(arch, joint=False, classes=CLASSES):
    return build_network(arch, classes=classes, image_size=SIZE, joint=joint)


def randomized(arch):
    """The widest network; no weight is as it was initialized."""
    network = build(arch, joint=True)
    randomize(network, np.random.default_rng(0))
    return network


def cut(network, wide, arch, classes=CLASSES):
    """The network `arch` itself, with slices of the weights of the wide one."""
    sources, widest, widths = channel_sources(wide), wide.widths(), arch.widths()
    for head in wide.heads:
        (module,) = (x for x in wide.rows if x.name == head.after)
        assert isinstance(module, Inception)
        ends = ("_1x1", "_3x3", "_5x5", "_pool_proj")
        sources[f"{head.name}_conv"] = tuple(head.after + end for end in ends)
    values = {weight_name(x): np.array(x) for x in network.weights}
    result = build(arch, classes=classes)
    for weight in result.weights:
        layer, kind = weight_name(weight).split("/")
        value = values[f"{layer}/{kind}"]
        conv = layer.removesuffix("_bn")
        if kind == "kernel" and sources.get(layer):
            starts = np.cumsum([0, *(widest[x] for x in sources[layer])])
            pairs = zip(starts, sources[layer], strict=False)
            rows = [start + np.arange(widths[x]) for start, x in pairs]
            value = value[..., np.concatenate(rows), :]
        weight.assign(value[..., : widths[conv]] if conv in widths else value)
    return result


def images(count=6, seed=0):
    random = np.random.default_rng(seed)
    return tf.constant(random.integers(0, 256, (count, SIZE, SIZE, 3)), tf.float32)


NETWORKS = {
    **{name: two_modules(name, width=0.25) for name in VARIANTS},
    "wide": two_modules("bn", width=0.5),
    "naive": replace(ablate("bn", module="naive").scale_width(0.125), heads=()),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "name",
    ["bn", *(pytest.param(x, marks=pytest.mark.slow) for x in NETWORKS if x != "bn")],
)
def test_zeros_for_weights_are_the_narrower_network(name, training):
    """With all its normalizations, by moving statistics or by those of the batch."""
    wide = without_dropout(NETWORKS[name])
    arch = wide.with_widths(random_widths(wide))
    network = randomized(wide)
    with keras.StatelessScope(narrow(network.weights, arch.widths())):
        found = network(images(), training=training)
    expected = cut(network, wide, arch)(images(), training=training)
    assert found.keys() == expected.keys()
    for head, logits in expected.items():
        np.testing.assert_allclose(found[head], logits, **TOLERANCE)
        # as far apart as other networks are
        assert np.ptp(logits) > 1000 * TOLERANCE["atol"]


@pytest.mark.slow
def test_all_convolutions_of_googlenet_may_be_narrower():
    wide = without_dropout(VARIANTS["bn"].scale_width(0.125))
    arch = wide.with_widths(random_widths(wide))
    assert len(convolutions(wide)) == 57
    network = randomized(wide)
    with keras.StatelessScope(narrow(network.weights, arch.widths())):
        found = network(images(), training=True)
    expected = cut(network, wide, arch)(images(), training=True)
    for head, logits in expected.items():
        np.testing.assert_allclose(found[head], logits, rtol=2e-3, atol=2e-3)


def sandwich(wide, networks=3):
    names = convolutions(wide)
    drawn = [random_widths(wide, seed) for seed in range(networks)]
    rows = np.array([[widths[name] for name in names] for widths in drawn])
    weights = {"main": 1.0, "aux1": 0.3, "aux2": 0.2}
    return Sandwich(tuple(names), rows, weights, seed=3)


def compiled(wide):
    model = SharedWeightsModel.adapt(randomized(wide), sandwich(wide))
    model.compile(
        optimizer=MomentumSGD(0.1),
        loss={head: SmoothedCrossEntropy(0.1) for head in model.output},
        loss_weights=model.sandwich.head_weights,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def gradients(model, labels, x):
    with tf.GradientTape() as tape:
        logits = model(images(), training=True)
        loss = model.compute_loss(x, labels, logits)
    found = tape.gradient(loss, [w.value for w in model.trainable_weights])
    return float(loss), found


def test_a_step_trains_the_widest_and_three_narrower_networks():
    wide = without_dropout(two_modules(width=0.25))
    model = compiled(wide)
    labels = {head: tf.constant([0, 1, 2, 3, 4, 5]) for head in model.output}
    of_labels, plain = gradients(model, labels, None)
    loss, both = gradients(model, labels, images())
    answers = tf.nn.softmax(model(images(), training=True)["main"])
    chosen = model.sandwich.choose(tf.constant(0))
    assert len(chosen) == 3
    first = dict(zip(model.sandwich.names, model.sandwich.networks[0], strict=True))
    assert {k: int(v) for k, v in chosen[0].items()} == first
    expected = of_labels
    for widths in chosen:
        arch = wide.with_widths({name: int(x) for name, x in widths.items()})
        logits = cut(model, wide, arch)(images(), training=True)
        for head, weight in model.sandwich.head_weights.items():
            cross_entropy = tf.nn.softmax_cross_entropy_with_logits(
                answers, logits[head]
            )
            expected += weight * float(tf.reduce_mean(cross_entropy))
    assert loss == pytest.approx(expected, rel=1e-4)
    assert loss > 2 * of_labels
    # the answers are not trained to be easier: what no narrower network has learns the
    # labels alone
    most = {name: max(int(x[name]) for x in chosen) for name in chosen[0]}
    alone = shared = 0
    pairs = zip(model.trainable_weights, plain, both, strict=True)
    for weight, of_plain, of_both in pairs:
        width = most.get(weight_name(weight).split("/")[0])
        if width is None:
            continue
        beyond = np.asarray(of_plain)[..., width:], np.asarray(of_both)[..., width:]
        np.testing.assert_allclose(*beyond, rtol=1e-3, atol=1e-6)
        alone += beyond[0].size
        within = (np.asarray(x)[..., :1] for x in (of_plain, of_both))
        shared += not np.allclose(*within, rtol=1e-2)
    assert alone
    assert shared == len(most)


def test_a_step_keeps_the_moving_statistics_of_the_widest_network():
    model = compiled(without_dropout(two_modules(width=0.25)))
    labels = {head: tf.constant([0, 1, 2, 3, 4, 5]) for head in model.output}
    before = [np.array(x) for x in model.non_trainable_weights]
    model(images(), training=True)
    expected = [np.array(x) for x in model.non_trainable_weights]
    for weight, value in zip(model.non_trainable_weights, before, strict=True):
        weight.assign(value)
    gradients(model, labels, images())
    for weight, value in zip(model.non_trainable_weights, expected, strict=True):
        np.testing.assert_allclose(weight, value, rtol=1e-5, atol=1e-6)


def test_the_networks_of_a_step_depend_on_the_seed_and_the_step():
    wide = two_modules(width=0.25)
    many = sandwich(wide, networks=50)

    def chosen(rule, step):
        found = rule.choose(tf.constant(step))
        return [[int(x) for x in widths.values()] for widths in found]

    steps = [chosen(many, step) for step in range(5)]
    assert steps == [chosen(many, step) for step in range(5)]
    assert len({str(x[1:]) for x in steps}) == 5
    assert len({str(x[0]) for x in steps}) == 1
    assert chosen(replace(many, seed=4), 0)[1:] != steps[0][1:]


@pytest.mark.slow
def test_steps_teach_the_widest_and_narrower_networks_the_labels():
    wide = without_dropout(two_modules(width=0.5))
    model = SharedWeightsModel.adapt(build(wide, joint=True), sandwich(wide))
    losses = {head: SmoothedCrossEntropy() for head in model.output}
    model.compile(optimizer=MomentumSGD(0.02, momentum=0.9), loss=losses)
    labels = {head: tf.range(6) for head in model.output}
    batches = tf.data.Dataset.from_tensors((images(), labels)).repeat()
    model.fit(batches, steps_per_epoch=60, shuffle=False, verbose=0)
    names, rows = model.sandwich.names, model.sandwich.networks
    narrower = [dict(zip(names, row.tolist(), strict=True)) for row in rows]
    for widths in (wide.widths(), *narrower):
        with keras.StatelessScope(narrow(model.weights, widths)):
            answers = model(images(), training=True)["main"]
        assert tf.argmax(answers, axis=1).numpy().tolist() == [*range(6)]


TWO = two_modules(width=0.25)
SEARCHED = Space(replace(TWO, rows=TWO.rows[:3], heads=TWO.heads[:1]))


def limits():
    """A budget that the space's first network fills."""
    macs = budget(SIZE).costs.of(SEARCHED.base, "macs")
    return budget(SIZE, macs=macs)


def settings(folder, **options):
    return small_run(
        folder,
        "digits",
        **{"architecture": None, "image_size": (SIZE,), "batch_size": 32} | options,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a training with few different networks, and its shared weights."""
    folder = tmp_path_factory.mktemp("shared") / "network"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shared_weights, "NETWORKS_IN_TRAINING", 8)
        yield folder, train_shared_weights(settings(folder), SEARCHED, limits())


@pytest.mark.slow
def test_scores_do_not_depend_on_their_order(trained):
    folder, shared = trained
    archs = map(SEARCHED.to_architecture, limits().draw(SEARCHED, 3, seed=9))
    losses = {arch: shared.evaluate(arch).main.loss for arch in archs}
    assert len({float(loss.mean()) for loss in losses.values()}) == 3
    lines = (folder / "metrics.jsonl").read_text()
    again = train_shared_weights(settings(folder), SEARCHED, limits())
    assert (folder / "metrics.jsonl").read_text() == lines  # nothing was trained
    for arch, loss in reversed(losses.items()):
        np.testing.assert_array_equal(again.evaluate(arch).main.loss, loss)


@pytest.mark.slow
def test_a_score_is_that_of_the_narrower_network_with_statistics_of_crops(trained):
    _, shared = trained
    arch = SEARCHED.to_architecture(limits().draw(SEARCHED, 2, seed=9)[1])
    found, network = shared.evaluate(arch), shared.classifier.network
    alone = replace(
        shared.classifier, network=cut(network, shared.widest, arch, classes=10)
    )
    expected = evaluate(alone, shared.dataset)
    np.testing.assert_allclose(found.main.loss, expected.main.loss, rtol=1e-4)
    first = convolutions(arch)[0]
    conv, norm = (alone.network.get_layer(first + end) for end in ("", "_bn"))
    maps = keras.Model(alone.network.input, conv.output)
    means = [np.mean(maps(crops), axis=(0, 1, 2)) for crops in shared.crops]
    assert len(means) == STATISTICS_BATCHES
    weights = norm.momentum ** np.arange(len(means))[::-1]
    expected = np.average(means, axis=0, weights=weights)
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_other_networks_have_no_shared_weights(trained):
    _, shared = trained
    base = SEARCHED.base
    wider = base.with_widths({"conv1_7x7_s2": 10_000})
    for other in (wider, replace(base, heads=()), replace(base, dropout=0.1)):
        with pytest.raises(UserError, match="in nothing but narrower convolutions"):
            shared.evaluate(other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"self_distillation": 0.5}, "leave out self_distillation"),
        ({"strategy": "mirrored"}, "leave out strategy"),
    ],
)
def test_options_that_shared_weights_do_not_have(tmp_path, options, message):
    config = settings(tmp_path / "network", **options)
    with pytest.raises(UserError, match=message):
        train_shared_weights(config, SEARCHED, limits())
    assert not [*tmp_path.iterdir()]
