import shutil

import numpy as np
import pytest
import tensorflow as tf
from making import write_photos

from googlenet_keras.data import pipeline
from googlenet_keras.data.augmentation import Augmentation
from googlenet_keras.data.none_pictures import (
    endless,
    none_count,
    none_indices,
    open_none_folder,
)
from googlenet_keras.data.regularization import Regularization
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError

NONE = 10  # the class number of none, of the digits
HEADS = ("main", "aux1")


@pytest.fixture(scope="module")
def digits():
    return open_dataset("digits")


@pytest.fixture(scope="module")
def none(tmp_path_factory):
    """Seven pictures in two folders, each of a gray of its own."""
    root = tmp_path_factory.mktemp("none")
    for i in range(7):
        folder = root / ("a" if i < 3 else "b/c")
        folder.mkdir(parents=True, exist_ok=True)
        gray = np.full((48, 48, 3), 30 * (i + 1), np.uint8)
        (folder / f"{i}.png").write_bytes(tf.io.encode_png(gray).numpy())
    return open_none_folder(root, "digits", NONE)


PLAIN = Augmentation(32, 32, 0.5, 1.2, True, 0.0, False)


def batches(split, none, batch_size=16, start=(0, 0), epochs=2, shard=None, **options):
    made = pipeline.TrainingPipeline(
        split, PLAIN, HEADS, batch_size, seed=5, none=none, **options
    )
    shard = shard or pipeline.SINGLE_WORKER_SHARD
    return [
        (images.numpy(), labels["main"].numpy(), *(w["aux1"].numpy() for w in weights))
        for images, labels, *weights in made.batches(epochs, start, shard)
    ]


def grays(images):
    """The number of the picture that each crop is of, by its gray."""
    return [round(float(image.mean()) / 30) - 1 for image in images]


@pytest.mark.parametrize(
    ("batch_size", "replicas", "count"),
    [
        (32, 1, 16),
        (32, 4, 16),
        (30, 1, 15),
        (30, 2, 14),
        (3, 1, 1),
        (4, 4, 4),
        (1, 1, 1),
    ],
)
def test_half_as_many_for_each_device(batch_size, replicas, count):
    assert none_count(batch_size, replicas) == count


def test_any_folders_and_files_that_are_no_images(none, tmp_path, capsys):
    root = shutil.copytree(none.files[0].parents[1], tmp_path / "copy")
    assert none.count == len(none.files) == 7
    assert none.listed[0].numpy().tolist() == [NONE] * 7
    copy = open_none_folder(root, "digits", NONE)
    assert copy.fingerprint == none.fingerprint
    (root / "b" / "notes.txt").write_text("none")
    (root / "a" / "broken.png").write_bytes((root / "a" / "0.png").read_bytes()[:99])
    (root / ".hidden.png").write_bytes(b"x")
    more = open_none_folder(root, "digits", NONE)
    assert more.files == copy.files
    shown = capsys.readouterr().err
    assert "leaving out 2 of 9 files (1 broken or truncated, 1 no image)" in shown
    assert f"{root / 'b' / 'notes.txt'}: no image" in shown
    (root / "a" / "1.png").unlink()
    assert open_none_folder(root, "digits", NONE).fingerprint != none.fingerprint


def test_upright_jpegs_are_known(photos, none):
    assert open_none_folder(photos(a=2), "digits").content == "upright jpeg"
    assert none.content == "encoded"


def test_what_is_no_folder_of_pictures_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("text")
    for path, problem in ((file, "is a file"), (tmp_path / "x", "does not exist")):
        with pytest.raises(UserError, match=f"needs a folder of .* {path} {problem}"):
            open_none_folder(path, "digits")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        UserError, match=r"has none in 0 files\. Add pictures, or leave"
    ):
        open_none_folder(tmp_path / "empty", "digits")
    (tmp_path / "empty" / "x.jpg").write_text("text")
    with pytest.raises(UserError, match="has none in 1 files"):
        open_none_folder(tmp_path / "empty", "digits")


def test_the_data_sets_own_folder_is_refused(photos, tmp_path):
    data = photos(a=2, b=2)
    (tmp_path / "link").symlink_to(data / "a")
    for folder in (data, data / "a", tmp_path, tmp_path / "link"):
        with pytest.raises(UserError, match="no picture may be of a class and of none"):
            open_none_folder(folder, str(data))
    other = write_photos(tmp_path / "photos of others", {"x": 1})
    assert open_none_folder(other, str(data)).count == 1


def test_every_picture_comes_once_before_any_comes_again(none):
    order = [int(i) for i, *_ in endless(none, 3, 0).take(70)]
    passes = [tuple(order[i : i + 7]) for i in range(0, 70, 7)]
    assert all(sorted(x) == list(range(7)) for x in passes)
    assert len(set(passes)) > 7  # each time in another order
    for first in (1, 6, 7, 20):
        left = [int(i) for i, *_ in endless(none, 3, first).take(10)]
        assert left == order[first : first + 10]
    assert [int(i) for i, *_ in endless(none, 4, 0).take(70)] != order
    assert none_indices(none, count=4, seed=3, steps_done=5) == order[20:24]


@pytest.mark.slow
def test_a_batch_has_its_images_and_none_pictures_after_them(digits, none):
    alone, both = batches(digits.test, None), batches(digits.test, none)
    assert len(both) == len(alone) == 2 * 18
    for (images, labels), (known, known_labels) in zip(both, alone, strict=True):
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(images[:16], known)
        np.testing.assert_array_equal(labels[:16], known_labels)
        assert labels[16:].tolist() == [NONE] * 8
    order = [int(i) for i, *_ in endless(none, 5, 0).take(8 * 36)]
    assert [i for images, _ in both for i in grays(images[16:])] == order


@pytest.mark.slow
@pytest.mark.parametrize(
    "share", [0.5, pytest.param(0.0, marks=pytest.mark.exhaustive)]
)
def test_a_resumed_epoch_has_the_none_pictures_that_were_left(digits, none, share):
    options = {"none_synthetic": share, "epochs": 2, "batch_size": 60}
    whole = batches(digits.test, none, **options)
    left = batches(digits.test, none, start=(1, 2), **options)
    for (images, labels), (same, same_labels) in zip(whole[7:], left, strict=True):
        np.testing.assert_array_equal(images, same)
        np.testing.assert_array_equal(labels, same_labels)


@pytest.mark.slow
def test_shards_have_the_none_pictures_of_one_alone(digits, none):
    def pictures(shard=None):
        """Of each batch, the none pictures."""
        size = 48 if shard is None else 12
        found = batches(digits.test, none, 48, (0, 3), shard=shard)
        assert {len(images) for images, _ in found} == {size + size // 2}
        return [images[size:] for images, _ in found]

    alone = pictures()
    first, second = (pictures(pipeline.Shard(i, 2, 4)) for i in range(2))
    assert len(alone) == 9
    assert len(first) == len(second) == 18  # two devices, one after the other
    for step, expected in enumerate(alone):
        mine, theirs = (np.concatenate(x[2 * step :][:2]) for x in (first, second))
        np.testing.assert_array_equal(mine, expected[::2])
        np.testing.assert_array_equal(theirs, expected[1::2])


@pytest.mark.slow
def test_crops_of_a_picture_that_comes_again_differ(digits, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    (tmp_path / "x.png").write_bytes(tf.io.encode_png(noise).numpy())
    one = open_none_folder(tmp_path, "digits", NONE)
    found = [images[16:] for images, _ in batches(digits.test, one, epochs=1)]
    pictures = np.concatenate(found).reshape(-1, 32 * 32 * 3)
    assert len(np.unique(pictures, axis=0)) == len(pictures) == 8 * 18


@pytest.mark.slow
def test_none_pictures_weigh_1_and_are_not_mixed(digits, none):
    tenths = [i / 10 for i in range(10)]
    mixing = Regularization(cutmix=1.0, random_erasing=1.0, classes=10)
    options = {"class_weights": tenths, "epochs": 1}
    for _, labels, weights in batches(digits.test, none, **options):
        np.testing.assert_allclose(weights[:16], labels[:16] / 10, rtol=1e-6)
        assert weights[16:].tolist() == [1] * 8
    options |= {"regularization": mixing}
    alone = batches(digits.test, None, **options)
    both = batches(digits.test, none, **options)
    for (images, labels, weights), (known, parts, known_weights) in zip(
        both, alone, strict=True
    ):
        np.testing.assert_array_equal(images[:16], known)
        np.testing.assert_array_equal(labels[:16], parts)
        np.testing.assert_array_equal(labels[16:], np.zeros((8, 10)))
        np.testing.assert_array_equal(weights[:16], known_weights)
        assert weights[16:].tolist() == [1] * 8
        grays_left = [np.median(image) for image in images[16:]]
        assert all(gray % 30 == 0 for gray in grays_left)
        erased = [(image != np.median(image)).any() for image in images[16:]]
        assert all(erased)


@pytest.mark.slow
def test_the_share_that_is_synthetic(digits, none):
    """All pictures of the folder are plain; no synthetic one is."""

    def plain(share):
        found = batches(digits.test, none, 60, epochs=1, none_synthetic=share)
        pictures = np.concatenate([images[60:] for images, _ in found])
        return np.mean([picture.std() == 0 for picture in pictures])

    assert plain(1.0) < 0.1  # a texture of a digit's edge is plain, too
    assert 0.5 < plain(0.3) < 0.9
