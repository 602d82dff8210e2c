from dataclasses import replace

import keras
import numpy as np
import pytest
from making import write_photos

from googlenet_keras.classifier import Classifier
from googlenet_keras.data.preprocessing import Crops
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.evaluate import evaluate, open_run_dataset
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
