"""Which networks can teach a run: their classes and their input."""

from dataclasses import replace
from unicodedata import normalize

import numpy as np
import pytest
from making import classifier

from googlenet_keras.errors import UserError
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.teachers import Teacher, open_teachers

LABELS = ("hat", "caf\xe9", "shoe")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved classifier of three classes with an input of 64 pixels."""
    folder = tmp_path_factory.mktemp("teacher") / "saved"
    replace(classifier("bn", classes=3), labels=LABELS).save(folder)
    return folder


def test_classes_are_found_by_their_names_in_any_order_and_form(saved):
    teacher = Teacher.open(saved, ("shoe", "hat", normalize("NFD", "caf\xe9")))
    assert teacher.classes == (2, 0, 1)
    assert teacher.size == (64, 64)


@pytest.mark.parametrize(
    ("classes", "difference"),
    [
        (("hat", "caf\xe9", "coat"), "it does not know coat and it knows shoe besides"),
        (("hat", "caf\xe9", "shoe", "coat"), "it does not know coat. Train it on"),
        (("hat", "caf\xe9"), "it knows shoe besides. Train it on"),
    ],
)
def test_other_classes_are_refused_by_name(saved, classes, difference):
    with pytest.raises(UserError, match="needs the classes of the data set") as error:
        Teacher.open(saved, classes)
    assert difference in str(error.value)
    assert str(saved) in str(error.value)


def test_the_digest_is_of_the_weights(saved, tmp_path):
    known = Teacher.open(saved, LABELS)
    assert Teacher.open(saved, LABELS[::-1]).digest == known.digest
    for name, seed in (("same", 0), ("other", 1)):
        again = replace(classifier("bn", classes=3, seed=seed), labels=LABELS)
        again.save(tmp_path / name)
    assert Teacher.open(tmp_path / "same", LABELS).digest == known.digest
    assert Teacher.open(tmp_path / "other", LABELS).digest != known.digest
    (tmp_path / "other" / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"no such file: .*weights.safetensors"):
        Teacher.open(tmp_path / "other", LABELS)


@pytest.mark.slow
def test_it_answers_with_the_main_heads_logits(saved):
    network = Teacher.open(saved, LABELS).load()
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("f4")
    expected = classifier("bn", classes=3).logits(images)["main"]
    np.testing.assert_allclose(network.predict_on_batch(images), expected, atol=1e-5)


def test_the_aspect_ratio_is_the_networks(saved):
    def open_for(*image_size):
        config = TrainConfig(teacher=saved, image_size=image_size)
        return open_teachers(config, LABELS)

    for image_size in ((32,), (96, 96), (320,)):
        assert [teacher.folder for teacher in open_for(*image_size)] == [saved]
    with pytest.raises(UserError, match=r"is 64 x 64, and the network's is 64 x 96\."):
        open_for(64, 96)


def test_what_is_no_network_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"a run folder has a config\.json"):
        Teacher.open(tmp_path / "nowhere", LABELS)
