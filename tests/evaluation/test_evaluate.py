from dataclasses import replace
from unicodedata import normalize

import keras
import numpy as np
import pytest
from making import classifier as make_classifier
from making import write_photos

from googlenet_keras.classifier import Classifier
from googlenet_keras.data.pipeline import UnreadableImageError
from googlenet_keras.data.preprocessing import Crops
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.evaluate import (
    class_numbers,
    evaluate,
    open_run_dataset,
)
from googlenet_keras.files import write_json
from googlenet_keras.network.weights import assign_weights, named_weights
from googlenet_keras.run_folder import RunFolder


@pytest.fixture(scope="module")
def classifier(run_folder):
    return Classifier.load(run_folder)


@pytest.fixture(scope="module")
def digits():
    return open_dataset("digits")


@pytest.mark.slow
def test_every_image_counts_once_for_every_head(classifier, digits):
    found = evaluate(classifier, digits, "test")
    figures = found.figures()
    assert figures["images"] == 300
    assert list(figures) == ["images", "main", "aux1", "aux2"]
    assert found.confusion().sum() == 300
    assert found.confusion().trace() / 300 == pytest.approx(figures["main"]["top1"])
    expected = [int(label) for _, label, _ in digits.test.in_order()]
    assert found.labels.tolist() == expected


def test_classes_are_matched_by_name(classifier, digits):
    turned = replace(digits, class_names=digits.class_names[::-1])
    straight = evaluate(classifier, digits).labels
    np.testing.assert_array_equal(evaluate(classifier, turned).labels, 9 - straight)


def test_classes_the_network_does_not_know(classifier, digits):
    other = replace(digits, class_names=("x", *digits.class_names[1:]))
    with pytest.raises(UserError, match=r"does not know x\. It knows 0, 1.* 5 more"):
        evaluate(classifier, other)


def test_members_that_know_other_classes(classifier, digits):
    other = replace(classifier, labels=("x", *classifier.labels[1:]))
    with pytest.raises(UserError, match="must know the same classes; only some know 0"):
        evaluate([classifier, other], digits)


@pytest.mark.slow
def test_members_name_their_classes_in_any_order(classifier, digits):
    """A member whose outputs are turned, with its labels, is the same network."""
    weights = classifier.network.get_layer("main")
    turned = Classifier(
        keras.models.clone_model(classifier.network),
        classifier.architecture,
        classifier.preprocessing,
        classifier.labels[::-1],
    )
    assign_weights(turned.network, named_weights(classifier.network))
    kernel, bias = weights.get_weights()
    turned.network.get_layer("main").set_weights([kernel[:, ::-1], bias[::-1]])
    alone = evaluate(classifier, digits, "test").heads["main"]
    both = evaluate([classifier, turned], digits, "test").heads["main"]
    np.testing.assert_allclose(both.loss, alone.loss, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["10", "144", "phone"])
def test_an_images_crops_count_as_one(classifier, tmp_path, kind):
    """The mean of its crops' probabilities, computed here one image at a time."""
    folder = write_photos(tmp_path / "photos", {"1": 3, "7": 2}, size=(40, 50))
    data = open_dataset(str(folder), validation_fraction=0.5)
    found = evaluate(classifier, data, "train", kind)
    crops, losses = Crops(classifier.preprocessing, kind), []
    for _, label, path in data.train.in_order():
        images = crops.read(data.train.load(path)).numpy()
        assert len(images) == crops.count
        mean = classifier.probabilities(images).mean(axis=0)
        name = data.class_names[int(label)]
        losses.append(-np.log(mean[classifier.labels.index(name)]))
    np.testing.assert_allclose(found.heads["main"].loss, losses, rtol=1e-3)
    assert len(set(np.round(losses, 3))) > 1  # or images could be mixed up


def test_the_data_of_a_run_is_split_as_in_training(photos, tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create()
    root = photos(a=4, b=8)
    write_json(run.config, {"dataset": str(root), "validation_fraction": 0.5})
    data = open_run_dataset(run)
    assert (data.train.count, data.validation.count) == (6, 6)
    assert open_run_dataset(run, "digits").name == "digits"


def test_a_folder_that_names_no_data_needs_one(tmp_path):
    with pytest.raises(UserError, match="name the data with --dataset"):
        open_run_dataset(RunFolder(tmp_path))
    assert open_run_dataset(RunFolder(tmp_path), "digits").train.count == 1197


def test_other_data_are_whole_and_the_runs_own_are_split(photos, tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    run.create()
    root = photos(a=4, b=8)
    other = write_photos(tmp_path / "other", {"a": 5})
    write_json(run.config, {"dataset": str(root), "validation_fraction": 0.5})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(root)
    for own in (None, str(root), "photos", "link"):
        assert run.is_own_data(own)
        assert open_run_dataset(run, own, divide=False).validation.count == 6
    assert not run.is_own_data(str(other))
    assert open_run_dataset(run, str(other), divide=False).validation.count == 5
    assert not RunFolder(tmp_path / "classifier").is_own_data(str(other))
    with pytest.raises(UserError, match="at least two class folders"):
        open_run_dataset(run, str(other))  # as an export, which calibrates and checks


def test_classes_are_matched_whatever_their_unicode_form():
    composed, decomposed = (normalize(form, "caf\xe9") for form in ("NFC", "NFD"))
    assert class_numbers(("a", composed), (decomposed, "a")).tolist() == [1, 0]
    with pytest.raises(UserError, match=r"does not know tea\. It knows a, caf\xe9\."):
        class_numbers(("a", composed), ("tea", decomposed))


@pytest.mark.slow
def test_members_may_spell_their_classes_in_another_unicode_form(tmp_path):
    composed, decomposed = (normalize(form, "caf\xe9") for form in ("NFC", "NFD"))
    root = write_photos(tmp_path / "photos", {decomposed: 2, "tea": 1})
    network = make_classifier("bn", classes=2)
    members = [
        replace(network, labels=labels)
        for labels in ((composed, "tea"), (decomposed, "tea"))
    ]
    found = evaluate(members, open_dataset(str(root), divide=False))
    assert found.labels.tolist() == [0, 0, 1]
    alone = evaluate(members[0], open_dataset(str(root), divide=False))
    np.testing.assert_allclose(found.main.loss, alone.main.loss, rtol=1e-5)


@pytest.mark.slow
def test_a_class_without_images_is_named(tmp_path, capsys):
    network = replace(make_classifier("bn", classes=3), labels=("a", "b", "c"))
    root = write_photos(tmp_path / "photos", {"b": 2})
    found = evaluate(network, open_dataset(str(root), divide=False), "test")
    capsys.readouterr()
    found.warn_of_missing_classes()
    shown = capsys.readouterr().err
    assert "no test images of 2 of the 3 classes" in shown
    assert shown.endswith(": a, c\n")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["gone", "no whole image any more"])
def test_an_image_that_cannot_be_read_any_more_is_named(tmp_path, damage):
    network = replace(make_classifier("bn", classes=2), labels=("a", "b"))
    root = write_photos(tmp_path / "photos", {"a": 2, "b": 2})
    data = open_dataset(str(root), divide=False)
    path = data.validation.files[2]
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:99])
    with pytest.raises(UnreadableImageError, match=f"{path} is {damage}"):
        evaluate(network, data)
