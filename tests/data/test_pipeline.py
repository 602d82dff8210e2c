import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from making_pictures import transparent_files, turned_files, upright

from googlenet_keras.data import pipeline
from googlenet_keras.data.augmentation import Augmentation
from googlenet_keras.data.dataset import Split
from googlenet_keras.data.decode import decode_unoriented
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.data.regularization import Regularization
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError


@pytest.fixture(scope="module")
def digits():
    return open_dataset("digits")


def random_crops(**changes):
    options = {"crop_area": 0.3, "crop_aspect": 1.3, "mirror": True}
    rest = {"color_jitter": 0.2, "random_interpolation": False}
    return Augmentation(32, 32, **(options | rest | changes))


def batches(split, seed=0, epochs=1, batch_size=100, start=(0, 0)):
    made = pipeline.TrainingPipeline(
        split, random_crops(), ("main",), batch_size, seed
    ).batches(epochs, start)
    return [(images.numpy(), labels["main"].numpy()) for images, labels in made]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_batches(digits):
    first, again, other = (batches(digits.validation, seed) for seed in (1, 1, 2))
    for (images, labels), (same, same_labels) in zip(first, again, strict=True):
        np.testing.assert_array_equal(images, same)
        np.testing.assert_array_equal(labels, same_labels)
    assert not np.array_equal(first[0][0], other[0][0])


@pytest.mark.slow
def test_each_epoch_has_its_own_order_and_crops(digits):
    found = batches(digits.validation, epochs=2)
    assert len(found) == 6
    assert not np.array_equal(found[0][1], found[3][1])
    for epoch in (found[:3], found[3:]):
        labels = np.concatenate([labels for _, labels in epoch])
        counts = np.bincount(labels, minlength=10)
        assert tuple(counts) == digits.validation.class_counts


@pytest.mark.slow
def test_an_epoch_leaves_out_less_than_a_batch(digits):
    assert pipeline.steps_per_epoch(digits.validation, 80) == 3
    assert [len(x) for x, _ in batches(digits.validation, batch_size=80)] == [80] * 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "listed", [True, pytest.param(False, marks=pytest.mark.exhaustive)]
)
def test_a_resumed_epoch_gives_the_batches_that_were_left(digits, listed):
    split = digits.validation if listed else replace(digits.validation, listed=None)
    whole = batches(split, epochs=3)
    left = batches(split, epochs=3, start=(1, 2))
    assert len(left) == len(whole) - 3 - 2
    for (images, labels), (same, same_labels) in zip(whole[5:], left, strict=True):
        np.testing.assert_array_equal(images, same)
        np.testing.assert_array_equal(labels, same_labels)


def batch_files(split, **batch):
    return pipeline.image_names(split, pipeline.batch_indices(split, **batch))


@pytest.mark.slow
def test_the_files_of_a_batch_are_known(tmp_path):
    """Each file has a color of its own, which its crop keeps."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(10):
            color = np.full((32, 32, 3), (10 * i, 200 * (name == "b"), 0), np.uint8)
            data = tf.io.encode_png(color).numpy()
            (tmp_path / name / f"{i}.png").write_bytes(data)
    split = open_dataset(str(tmp_path)).train
    images, labels = batches(split, seed=3, epochs=3, batch_size=4)[2 * 4 + 1]
    files = batch_files(split, batch_size=4, seed=3, epoch=2, step=1)
    colors = dict(zip(files, images[:, 16, 16], strict=True))
    for (file, color), label in zip(colors.items(), labels, strict=True):
        _, name, _ = file.rsplit("/", 2)
        assert ("a", "b")[label] == name
        assert (color[1] > 60) == (name == "b")
    whole = {f for step in range(4) for f in batch_files(
        split, batch_size=4, seed=3, epoch=2, step=step)}  # fmt: skip
    assert whole == {str(path) for path in split.files}


def first_batch(split, batch_size, heads, **options):
    """The first batch of the first epoch."""
    made = pipeline.TrainingPipeline(
        split, random_crops(), heads, batch_size, seed=0, **options
    )
    return next(iter(made.batches(epochs=1)))


@pytest.mark.slow
def test_labels_come_under_every_heads_key(digits):
    images, labels = first_batch(digits.test, 4, ("main", "aux1", "aux2"))
    assert images.shape == (4, 32, 32, 3)
    assert images.dtype == tf.uint8
    assert list(labels) == ["main", "aux1", "aux2"]
    for head in ("aux1", "aux2"):
        np.testing.assert_array_equal(labels[head], labels["main"])


def test_evaluation_counts_every_image_once_in_order(digits):
    made = pipeline.evaluation_batches(
        digits.test, Preprocessing(32, 32, 1.0), heads=("main",), batch_size=64
    )
    labels = [labels["main"].numpy() for _, labels in made]
    assert [len(x) for x in labels] == [64, 64, 64, 64, 44]
    expected = [int(label) for _, label, _ in digits.test.in_order()]
    assert np.concatenate(labels).tolist() == expected


def test_a_batch_larger_than_the_data(digits):
    with pytest.raises(UserError, match=r"at most .* 300; received 301\."):
        pipeline.steps_per_epoch(digits.test, 301)


def test_balanced_weights_make_classes_count_alike():
    split = Split(8, lambda: None, lambda x: x, class_counts=(6, 2, 0))
    weights = pipeline.balanced_weights(split)
    assert weights == [8 / 12, 8 / 4, 0.0]
    assert 6 * weights[0] == 2 * weights[1] == 4
    unknown = Split(8, lambda: None, lambda x: x)
    with pytest.raises(UserError, match="TFDS does not tell"):
        pipeline.balanced_weights(unknown)


@pytest.mark.slow
def test_weights_come_with_their_images(digits):
    tenths = [i / 10 for i in range(10)]
    _, labels, weights = first_batch(
        digits.test, 16, ("main", "aux1"), class_weights=tenths
    )
    for head in ("main", "aux1"):
        np.testing.assert_allclose(weights[head], labels[head] / 10, rtol=1e-6)


@pytest.mark.slow
def test_a_mixed_image_weighs_as_its_parts(digits):
    _, labels, weights = first_batch(
        digits.test,
        16,
        ("main",),
        regularization=Regularization(cutmix=1.0, classes=10),
        class_weights=[i / 10 for i in range(10)],
    )
    parts = labels["main"].numpy()
    assert 0 < np.median(parts.max(axis=1)) < 1
    np.testing.assert_allclose(weights["main"], parts @ (np.arange(10) / 10), rtol=1e-5)


SHARDS = [pipeline.Shard(worker, 2, 4) for worker in range(2)]  # two devices each


@pytest.mark.slow
def test_shards_make_up_each_batch_of_one_alone(digits):
    def images(**options):
        made = pipeline.TrainingPipeline(
            digits.validation, random_crops(), ("main",), batch_size=40, seed=3
        )
        return [batch.numpy() for batch, _ in made.batches(2, start=(0, 2), **options)]

    alone, *shared = images(), *(images(shard=shard) for shard in SHARDS)
    assert len(alone) == 5 + 7
    assert [len(x) for x in shared[0]] == [10] * 24
    for step, batch in enumerate(alone):
        first, second = (np.concatenate(x[2 * step : 2 * step + 2]) for x in shared)
        np.testing.assert_array_equal(first, batch[::2])
        np.testing.assert_array_equal(second, batch[1::2])


@pytest.mark.slow
def test_a_file_is_read_by_one_worker(digits):
    read = {0: [], 1: []}

    def reading(worker):
        def load(reference):
            tf.py_function(lambda r: read[worker].append(r.numpy()), [reference], [])
            return digits.test.load(reference)

        return replace(digits.test, load=load)

    for shard in SHARDS:
        split = reading(shard.worker)
        made = pipeline.TrainingPipeline(split, random_crops(), ("main",), 60, seed=0)
        list(made.batches(epochs=1, shard=shard))
    assert len(read[0]) == len(read[1]) == 150
    assert len(set(read[0] + read[1])) == len(
        {*map(bytes, digits.test.listed[1].numpy())}
    )
    assert not set(read[0]) & set(read[1])


@pytest.mark.slow
@pytest.mark.parametrize(("images", "batch", "sizes"), [
    pytest.param(300, 64, ([38, 38, 37, 37], [38, 38, 37, 37]),
                 marks=pytest.mark.exhaustive),
    pytest.param(9, 64, ([3, 2], [2, 2]), marks=pytest.mark.exhaustive),
    (9, 2, ([2, 1, 1, 1], [1, 1, 1, 1])),
])  # fmt: skip
def test_no_worker_evaluates_an_empty_batch(digits, images, batch, sizes):
    split = replace(digits.test, count=images,
                    in_order=lambda: digits.test.in_order().take(images))  # fmt: skip
    found = []
    for shard, expected in zip(SHARDS, sizes, strict=True):
        made = pipeline.evaluation_batches(
            split, Preprocessing(32, 32, 1.0), heads=("main",), batch_size=batch,
            shard=shard,
        )  # fmt: skip
        labels = [labels["main"].numpy() for _, labels in made]
        assert [len(x) for x in labels] == expected
        found.extend(np.concatenate(labels))
        steps = shard.evaluation_steps(images, batch)
        assert len(expected) == 2 * steps
    truth = [int(label) for _, label, _ in split.in_order()]
    assert sorted(found) == sorted(truth)


def test_an_image_for_each_device_is_needed():
    with pytest.raises(
        UserError, match=r"each of the 4 devices .* image; there are 3\."
    ):
        SHARDS[0].evaluation_steps(3, 64)
    assert pipeline.SINGLE_WORKER_SHARD.evaluation_steps(3, 64) is None


@pytest.mark.slow
def test_files_of_every_kind_are_evaluated_upright_and_on_black(tmp_path):
    for turn in range(1, 9):
        (tmp_path / "test" / str(turn)).mkdir(parents=True)
        for name, data in turned_files(turn).items():
            (tmp_path / "test" / str(turn) / name).write_bytes(data)
    for name, (data, _) in transparent_files().items():
        (tmp_path / "test" / "1" / name).write_bytes(data)
    for folder in ("train", "validation"):
        shutil.copytree(tmp_path / "test", tmp_path / folder)
    split = open_dataset(str(tmp_path)).test
    preprocessing = Preprocessing(24, 20, 0.9)
    made = pipeline.evaluation_batches(split, preprocessing, heads=("main",))
    images = np.concatenate([images for images, _ in made])
    assert len(images) == len(split.files) == 8 * 15 + 10
    for path, image in zip(split.files, images, strict=True):
        stored = decode_unoriented(path.read_bytes()).numpy()
        expected = preprocessing(upright(stored, int(path.parent.name)))
        np.testing.assert_allclose(image, expected, atol=1e-3, err_msg=str(path))


def test_the_first_image_that_is_not_whole_is_named(photos):
    split = open_dataset(str(photos(a=3, b=3))).train
    error = tf.errors.InvalidArgumentError(None, None, "no image")
    with (
        pytest.raises(tf.errors.InvalidArgumentError),  # it had another reason
        pipeline.explain_unreadable(split),
    ):
        raise error
    for damage, message in (
        (lambda path: path.write_bytes(path.read_bytes()[:-99]), "no whole image"),
        (lambda path: path.write_bytes(b""), "no whole image"),
        (lambda path: path.write_bytes(tf.io.encode_png(np.zeros((9, 9, 3), np.uint8))
                                       .numpy()), "no whole image"),
        (lambda path: path.unlink(), "gone"),
    ):  # fmt: skip
        damage(split.files[2])
        with (
            pytest.raises(pipeline.UnreadableImageError, match="put it back") as found,
            pipeline.explain_unreadable(split),
        ):
            raise error
        assert str(found.value).startswith(f"{split.files[2]} is {message}")
        assert found.value.__cause__ is error


def test_images_that_are_no_files_have_no_names(digits):
    with (
        pytest.raises(tf.errors.NotFoundError),
        pipeline.explain_unreadable(digits.test),
    ):
        raise tf.errors.NotFoundError(None, None, "x")


def answers_of(epoch, images=300, classes=10):
    """Soft targets that tell which image of which epoch they are of."""
    number = tf.cast(epoch, tf.float32) * images + tf.range(images, dtype=tf.float32)
    return number[:, None] + tf.range(classes, dtype=tf.float32)[None] / 100


@pytest.mark.slow
def test_soft_targets_come_with_their_images(digits):
    split = digits.test
    made = pipeline.TrainingPipeline(
        split, random_crops(), ("main", "aux1"), 16, seed=5, soft_targets=answers_of
    )
    epoch, step = start = (2, 3)
    images, labels = next(iter(made.batches(3, start=start)))
    places = pipeline.batch_indices(
        split, batch_size=16, seed=5, epoch=epoch, step=step
    )
    assert labels["main"].shape == (16, 2, 10)
    shares, targets = np.moveaxis(labels["main"].numpy(), 1, 0)
    np.testing.assert_array_equal(targets, answers_of(epoch).numpy()[places])
    expected = split.listed[0].numpy()[places]
    np.testing.assert_array_equal(shares, np.eye(10)[expected])
    np.testing.assert_array_equal(labels["aux1"], labels["main"])
    crops = np.concatenate(list(made.crops([epoch], 64)))
    np.testing.assert_array_equal(images, crops[places])


@pytest.mark.slow
@pytest.mark.parametrize(
    "mixing", ["cutmix", pytest.param("mixup", marks=pytest.mark.exhaustive)]
)
def test_soft_targets_are_mixed_as_labels_are(digits, mixing):
    """A teacher that answers with the label, doubled, tells the mixed label."""
    known = tf.one_hot(digits.test.listed[0], 10) * 2
    options = {
        "regularization": Regularization(**{mixing: 1.0}, classes=10),
        "class_weights": [i / 10 for i in range(10)],
    }
    _, labels, weights = first_batch(
        digits.test, 16, ("main",), soft_targets=lambda _: known, **options
    )
    shares, targets = np.moveaxis(labels["main"].numpy(), 1, 0)
    assert 0 < np.median(shares.max(axis=1)) < 1
    np.testing.assert_allclose(targets, 2 * shares, rtol=1e-6)
    np.testing.assert_allclose(weights["main"], shares @ np.arange(10) / 10, rtol=1e-5)
    _, plain, plain_weights = first_batch(digits.test, 16, ("main",), **options)
    np.testing.assert_allclose(shares, plain["main"], rtol=1e-6)
    np.testing.assert_allclose(weights["main"], plain_weights["main"], rtol=1e-5)


@pytest.mark.slow
def test_a_none_picture_has_no_soft_target(digits):
    none = replace(digits.validation, listed=(
        tf.fill([digits.validation.count], tf.constant(10, tf.int64)),
        digits.validation.listed[1],
    ))  # fmt: skip
    images, labels, weights = first_batch(
        digits.test,
        16,
        ("main",),
        soft_targets=answers_of,
        class_weights=[0.5] * 10,
        none=none,
    )
    assert images.shape[0] == 16 + 8  # half as many
    assert labels["main"].shape[1:] == (2, 10)
    assert not labels["main"][16:].numpy().any()
    assert labels["main"][:16, 0].numpy().sum() == 16
    assert weights["main"].numpy().tolist() == [0.5] * 16 + [1.0] * 8
