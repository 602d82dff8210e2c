import json
import shutil
from dataclasses import replace
from unicodedata import normalize

import keras
import numpy as np
import pytest
from making import classifier, two_modules, write_photos

from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.classifier import Classifier
from googlenet_keras.errors import UserError
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import named_weights
from googlenet_keras.training.model import build_and_compile
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.recipes import FINETUNE
from googlenet_keras.training.trainer import train_network
from googlenet_keras.training.transfer import (
    copy_weights,
    freeze,
    layer_multipliers,
    load_initial_classifier,
)

ARCH = two_modules()


@pytest.fixture(scope="module")
def old():
    """A network that knows class 0 to class 6."""
    return classifier("bn")


def fresh(labels, size=64):
    return build_network(ARCH, classes=len(labels), image_size=size, joint=True)


@pytest.mark.slow
def test_the_trunk_is_copied_and_so_are_classes_of_the_same_name(old):
    labels = ("other", "class 5", "another", "class 2")
    network = fresh(labels)
    before = named_weights(network)
    said = copy_weights(network, old, labels)
    assert said.startswith("copied the trunk, aux1, aux2; 2 of 4 classes are known")
    after, theirs = named_weights(network), named_weights(old.network)
    for name, value in after.items():
        if name.split("/")[0] in ("main", "aux1", "aux2"):
            for here, there in ((1, 5), (3, 2)):
                np.testing.assert_array_equal(
                    value[..., here], theirs[name][..., there]
                )
            for here in (0, 2):
                np.testing.assert_array_equal(value[..., here], before[name][..., here])
        else:
            np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.mark.slow
def test_a_head_of_another_form_starts_anew(old):
    network = build_network(
        ablate(ARCH, head="dense"), classes=7, image_size=64, joint=True
    )
    before = named_weights(network)
    said = copy_weights(network, old, old.labels)
    assert said.startswith("copied the trunk, aux1, aux2; 0 of 7 classes are known")
    after, theirs = named_weights(network), named_weights(old.network)
    for name, value in after.items():
        own = before if name.startswith("main") else theirs
        np.testing.assert_array_equal(value, own[name], err_msg=name)


@pytest.mark.slow
def test_the_answers_stay_where_the_classes_do(old):
    network = fresh(old.labels)
    copy_weights(network, old, old.labels)
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3)).astype("f4")
    for head, logits in old.logits(images).items():
        found = network.predict_on_batch(images)[head]
        np.testing.assert_allclose(found, logits, atol=1e-4)


def test_heads_for_another_size_are_initialized(old):
    network = fresh(old.labels, size=160)
    before = named_weights(network)
    said = copy_weights(network, old, old.labels)
    after = named_weights(network)
    assert said.startswith("copied the trunk; 7 of 7 classes")
    for name in ("aux1_fc/kernel", "aux1_conv/kernel", "aux2/kernel"):
        np.testing.assert_array_equal(after[name], before[name])
    theirs = named_weights(old.network)
    np.testing.assert_array_equal(after["main/kernel"], theirs["main/kernel"])


def test_another_trunk_is_refused(old):
    network = build_network(two_modules().scale_width(2), classes=2, image_size=64)
    with pytest.raises(UserError, match=r"misshapen: conv1_7x7_s2/kernel is \(7, 7, 3"):
        copy_weights(network, old, ("a", "b"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("until", "frozen", "free"),
    [
        ("none", [], ["conv1_7x7_s2", "inception_4d_3x3", "main"]),
        ("4a", ["conv1_7x7_s2", "inception_4a_3x3_bn"], ["inception_4d_3x3", "main"]),
        ("all", ["conv1_7x7_s2", "inception_4d_5x5"], ["main", "aux1_fc", "aux2"]),
    ],
)
def test_what_is_frozen(until, frozen, free):
    network = fresh("abc")
    freeze(network, ARCH, until)
    trainable = {v.path.split("/")[-2] for v in network.trainable_variables}
    assert trainable.isdisjoint(frozen)
    assert trainable.issuperset(free)
    joint = network.get_layer("inception_4a_joint")
    learns = {layer.trainable for layer in (*joint.convolutions, *joint.norms)}
    assert learns == {until == "none"}


def options(folder, **changes):
    """Of a step from weights, in a narrow network."""
    file = folder / "narrow.json"
    file.write_text(json.dumps(ARCH.to_json()))
    return TrainConfig(
        architecture=file,
        weights=str(folder),
        image_size=(32,),
        epochs=2,
        weight_decay=0.0,
        learning_rate=0.1,
        clip_norm=0.0,
        warmup_epochs=0.0,
        **changes,
    )


def moved(config):
    """How far a step without momentum moves each layer's kernel."""
    keras.utils.set_random_seed(0)
    network = build_and_compile(config.resolve("photos"), classes=3, steps=10)
    network.optimizer.momentum = 0.0
    before = named_weights(network)
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype("f4")
    labels = dict.fromkeys(network.output, np.arange(8) % 3)
    network.train_on_batch(images, labels)
    after = named_weights(network)
    return {n: after[n] - before[n] for n in before if n.endswith("/kernel")}


@pytest.mark.slow
def test_the_trunk_and_its_modules_learn_at_their_own_rates(tmp_path):
    whole = moved(options(tmp_path))
    # decayed over conv1, 4a, 4d, heads
    slower = moved(options(tmp_path, trunk_learning_rate=0.4, layer_decay=0.5))
    for name, factor in (
        ("conv1_7x7_s2/kernel", 0.4 / 8),
        ("inception_4a_3x3/kernel", 0.4 / 4),
        ("inception_4d_5x5/kernel", 0.4 / 2),
        ("main/kernel", 1),
        ("aux1_fc/kernel", 1),
        ("aux2_conv/kernel", 1),
    ):
        np.testing.assert_allclose(slower[name], whole[name] * factor, atol=1e-6)
        assert np.abs(whole[name]).max() > 1e-4


def test_a_module_learns_slower_the_farther_it_is_from_the_head():
    arch = get_architecture("bn").scale_width(0.125)
    network = build_network(arch, classes=3, image_size=32, joint=True)
    config = TrainConfig(weights="w", layer_decay=0.5, trunk_learning_rate=0.8)
    found = layer_multipliers(network, arch, config)
    expected = {
        "inception_5b_1x1": 0.8 / 2,
        "inception_5b_5x5_reduce_bn": 0.8 / 2,
        "inception_5a_pool_proj": 0.8 / 4,
        "inception_4e_3x3": 0.8 / 8,
        "inception_4d_3x3": 0.8 / 16,
        "inception_4a_3x3": 0.8 / 2**7,
        "inception_3b_3x3": 0.8 / 2**8,
        "inception_3a_3x3": 0.8 / 2**9,
        "conv2_3x3": 0.8 / 2**10,
        "conv2_3x3_reduce": 0.8 / 2**10,
        "conv1_7x7_s2": 0.8 / 2**11,
        "conv1_7x7_s2_bn": 0.8 / 2**11,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    layers = {name.split("/")[0] for name in named_weights(network)}
    assert found.keys() == {x for x in layers if not x.startswith(("main", "aux"))}
    plain = TrainConfig(weights="w")
    assert layer_multipliers(network, arch, plain) == {}
    trunk = layer_multipliers(network, arch, replace(plain, trunk_learning_rate=0.3))
    assert {*trunk.values()} == {0.3}


def few(folder, old, classes, **changes):
    """Options of a run on few photographs of `classes`, from the network `old`."""
    old.save(folder / "old")
    photos = write_photos(folder / "photos", dict.fromkeys(classes, 12))
    return TrainConfig(
        dataset=str(photos),
        weights=str(folder / "old"),
        batch_size=8,
        precision="float32",
        run_folder=folder / "run",
        **{"epochs": 1} | changes,
    )


@pytest.mark.slow
def test_a_frozen_trunk_keeps_everything_and_a_run_resumes_without_its_weights(
    old, tmp_path, capsys
):
    """The trunk's statistics are kept, too."""
    changes = {"freeze_until": "all", "resume": True}
    config = few(tmp_path, old, ("class 1", "new"), **changes)
    run = train_network(config)
    assert run.job.config.image_size == (64, 64)
    found, theirs = named_weights(run.classifier.network), named_weights(old.network)
    trunk = [n for n in theirs if not n.startswith(("main", "aux"))]
    assert len(trunk) == 13 * 5
    for name in trunk:
        np.testing.assert_array_equal(found[name], theirs[name], err_msg=name)
    kernel = found["main/kernel"]
    assert np.abs(kernel[:, 0] - theirs["main/kernel"][:, 1]).max() > 1e-4  # it learns
    assert Classifier.load(tmp_path / "run").provenance["started_from"] == str(
        tmp_path / "old"
    )
    shutil.rmtree(tmp_path / "old")
    capsys.readouterr()
    train_network(config)
    assert "resuming after 1 epochs" in capsys.readouterr().out


class KilledError(Exception):
    """What ends a run before its first checkpoint."""


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_starts_from_them_again(
    old, tmp_path, monkeypatch
):
    from googlenet_keras.training import trainer

    config = few(tmp_path, old, ("a", "b"), resume=True, freeze_until="all")

    starts = []

    def killed(self):
        starts.append(named_weights(self.classifier.network))
        raise KilledError

    monkeypatch.setattr(trainer.Trainer, "fit", killed)
    for _ in range(2):
        with pytest.raises(KilledError):
            train_network(config)
    assert (tmp_path / "run" / "config.json").exists()
    first, again = starts
    theirs = named_weights(old.network)
    for name, value in again.items():
        np.testing.assert_array_equal(first[name], value, err_msg=name)
        if not name.startswith(("main", "aux")):
            np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def test_a_recipe_for_what_starts_from_weights():
    assert FINETUNE.weights == "torchvision"
    with pytest.raises(UserError, match="need weights to start from; add --weights"):
        TrainConfig(freeze_until="4e")
    with pytest.raises(UserError, match="need weights to start from"):
        TrainConfig(trunk_learning_rate=0.1)
    with pytest.raises(UserError, match="layer_decay need weights to start from"):
        TrainConfig(layer_decay=0.7)
    with pytest.raises(UserError, match="weights come with their widths"):
        TrainConfig(weights="torchvision", width=0.5)
    with pytest.raises(UserError, match="freeze_until must be one of none, 3a"):
        TrainConfig(weights="torchvision", freeze_until="3x")


def test_a_search_has_widths_of_its_own():
    from googlenet_keras.tuning.config import SearchConfig

    with pytest.raises(UserError, match="leave out --weights"):
        SearchConfig(TrainConfig(weights="torchvision"), max_macs="1M")


@pytest.mark.slow
def test_another_variant_than_the_weights_have_is_refused(old, tmp_path):
    old.save(tmp_path / "old")
    config = TrainConfig(weights=str(tmp_path / "old"), variant="paper")
    with pytest.raises(UserError, match=r"has 'bn', and --variant paper was given"):
        load_initial_classifier(config)
    same, found = load_initial_classifier(replace(config, variant="bn"))
    assert same.to_architecture() == found.architecture


@pytest.mark.slow
def test_classes_are_known_whatever_their_unicode_form(old):
    composed, decomposed = (normalize(form, "caf\xe9") for form in ("NFC", "NFD"))
    known = replace(old, labels=(composed, *old.labels[1:]))
    network = fresh(("other", decomposed))
    assert "1 of 2 classes are known" in copy_weights(
        network, known, ("other", decomposed)
    )
    kernels = (named_weights(x)["main/kernel"] for x in (network, old.network))
    here, there = kernels
    np.testing.assert_array_equal(here[..., 1], there[..., 0])
