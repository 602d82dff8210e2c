import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras.data.regularization import Regularization

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3)).astype("float32")
LABELS = np.arange(12) % 4


def each(regularization):
    harder = regularization.image_function()

    def one(index):
        image = tf.gather(IMAGES, index)
        return harder(image, tf.stack([index, 7]))

    found = tf.data.Dataset.range(12).map(one, num_parallel_calls=4).batch(12)
    return next(iter(found)).numpy()


def mixed(regularization, seed=3):
    images, labels = regularization.batch_function()(
        tf.constant(IMAGES), tf.constant(LABELS), tf.constant([seed, 0])
    )
    return images.numpy(), labels.numpy()


def changed(images):
    return [not np.array_equal(a, b) for a, b in zip(images, IMAGES, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"rand_augment": 0.5}, {"random_erasing": 0.5}])
def test_the_same_seed_gives_the_same_image_in_any_thread(options):
    first, again = (each(Regularization(**options)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert any(changed(first))
    assert first.min() >= 0
    assert first.max() <= 255


def test_off_changes_nothing():
    np.testing.assert_array_equal(each(Regularization()), IMAGES)
    assert not Regularization().mixes


def test_erasing_takes_a_rectangle_from_about_its_part_of_the_images():
    assert all(changed(each(Regularization(random_erasing=1.0))))
    assert 2 <= sum(changed(each(Regularization(random_erasing=0.5)))) <= 10
    image = each(Regularization(random_erasing=1.0))[0]
    rows, columns, _ = np.nonzero(image != IMAGES[0])
    assert 0 < np.ptp(rows) < 31 or 0 < np.ptp(columns) < 31


def test_mixup_blends_images_as_it_blends_labels():
    images, labels = mixed(Regularization(mixup=1.0, classes=4))
    blended = 0
    for image, label, own, before in zip(images, labels, LABELS, IMAGES, strict=True):
        assert label.sum() == pytest.approx(1)
        other = next((k for k in np.flatnonzero(label) if k != own), None)
        if other is not None:
            partners = IMAGES[other == LABELS]
            blends = [label[own] * before + label[other] * x for x in partners]
            assert min(np.abs(image - blend).max() for blend in blends) < 0.01
            blended += 1
    assert blended > 3


def test_cutmix_labels_are_the_areas_of_the_parts():
    images, labels = mixed(Regularization(cutmix=1.0, classes=4))
    for image, label, own, before in zip(images, labels, LABELS, IMAGES, strict=True):
        kept = np.mean(np.all(image == before, axis=-1))
        if label[own] < 1:
            assert label[own] == pytest.approx(kept, abs=0.07)
    assert min(labels.max(axis=1)) < 0.95


def test_with_both_each_batch_draws_one():
    both = Regularization(mixup=1.0, cutmix=1.0, classes=4)
    alone = [
        Regularization(mixup=1.0, classes=4),
        Regularization(cutmix=1.0, classes=4),
    ]
    drawn = set()
    for seed in range(8):
        images, _ = mixed(both, seed)
        drawn |= {
            number
            for number, one in enumerate(alone)
            if np.array_equal(images, mixed(one, seed)[0])
        }
    assert drawn == {0, 1}
