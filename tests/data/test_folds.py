from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from making import write_photos

from googlenet_keras.data.folds import Fold, largest_fold_count, open_fold
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError


def divided(dataset, fold, folds=5, seed=0, validation_fraction=0.2):
    return open_fold(dataset, Fold(fold, folds, seed, validation_fraction))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    counts = {"a": 10, "b": 20, "c": 7}
    root = tmp_path_factory.mktemp("data") / "photos"
    write_photos(root / "train", counts)
    write_photos(root / "val", {"a": 2, "b": 2})
    return write_photos(root / "test", {"a": 3}).parent


def test_every_image_is_held_out_once_and_test_images_never(root):
    dataset = open_dataset(str(root))
    folds = [divided(dataset, i + 1) for i in range(5)]
    held_out = [path for fold in folds for path in fold.test.files]
    assert sorted(held_out) == sorted(dataset.train.files + dataset.validation.files)
    for fold in folds:
        parts = (fold.train, fold.validation, fold.test)
        files = [path for part in parts for path in part.files]
        assert sorted(files) == sorted(held_out)  # each in one part
        for part in parts:
            counts = Counter(path.parent.name for path in part.files)
            assert [counts[name] for name in "abc"] == [*part.class_counts]
            for _, label, reference in part.in_order():
                assert reference.numpy().decode().split("/")[-2] == "abc"[int(label)]
    # 12, 22 and 7 images: fifths, and a fifth of the rest for validation
    assert {fold.test.class_counts[0] for fold in folds} == {2, 3}
    assert {fold.test.class_counts[1] for fold in folds} == {4, 5}
    assert {fold.validation.class_counts[1] for fold in folds} == {3, 4}
    assert {fold.validation.class_counts[2] for fold in folds} == {1}


def test_folds_depend_on_the_seed_and_not_on_the_images_former_split():
    dataset = open_dataset("digits")
    swapped = replace(dataset, train=dataset.validation, validation=dataset.train)
    other = divided(swapped, 2, validation_fraction=0.4)
    fold = divided(dataset, 2)
    np.testing.assert_array_equal(other.test.listed[1], fold.test.listed[1])
    assert other.validation.count > fold.validation.count
    again, reseeded = divided(dataset, 2), divided(dataset, 2, seed=1)
    assert again.train.fingerprint == fold.train.fingerprint
    assert reseeded.train.fingerprint != fold.train.fingerprint
    assert divided(dataset, 3).train.fingerprint != fold.train.fingerprint


def test_a_fold_is_of_the_runs_seed_or_of_its_own():
    options = {"folds": 5, "fold": 2, "seed": 3, "validation_fraction": 0.1}
    assert Fold.from_options(options) == Fold(2, 5, 3, 0.1)
    assert Fold.from_options(options | {"fold_seed": None}) == Fold(2, 5, 3, 0.1)
    assert Fold.from_options(options | {"fold_seed": 0}) == Fold(2, 5, 0, 0.1)


def test_the_smallest_class_limits_the_folds(root):
    dataset = open_dataset(str(root))  # 12, 22 and 7 images
    assert largest_fold_count(dataset, 5) == 5
    assert largest_fold_count(dataset, 9) == 7
    few = replace(dataset, validation=dataset.test, train=dataset.test)  # 3 of one
    assert largest_fold_count(few, 5) == 0
    unlisted = replace(dataset, train=replace(dataset.train, listed=None))
    assert largest_fold_count(unlisted, 5) == 0


def test_another_image_has_another_fingerprint(root, tmp_path):
    before = divided(open_dataset(str(root)), 1)
    path = root / "train" / "a" / "0.jpg"
    content = path.read_bytes()
    path.write_bytes((root / "train" / "a" / "1.jpg").read_bytes())
    try:
        after = divided(open_dataset(str(root)), 1)
    finally:
        path.write_bytes(content)
    assert after.train.fingerprint != before.train.fingerprint


def test_what_cannot_be_divided_is_refused(root):
    dataset = open_dataset(str(root))
    with pytest.raises(UserError, match=r"8 folds need .* 8 images .* 'c' has 7"):
        divided(dataset, 1, folds=8)
    for fold, folds in ((1, 1), (3, 2), (0, 2)):
        with pytest.raises(UserError, match=f"received fold {fold} of {folds}"):
            divided(dataset, fold, folds=folds)
    stream = replace(dataset, train=replace(dataset.train, listed=None))
    with pytest.raises(UserError, match=r"--folds needs the digits or a folder"):
        divided(stream, 1)


def test_the_smallest_classes_have_images_in_every_split(tmp_path):
    dataset = open_dataset(str(write_photos(tmp_path / "p", {"a": 4, "b": 4})))
    for fold in (1, 2):
        found = divided(dataset, fold, folds=2)
        splits = (found.train, found.validation, found.test)
        assert [x.class_counts for x in splits] == [(1, 1), (1, 1), (2, 2)]
