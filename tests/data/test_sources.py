import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras.data import pipeline
from googlenet_keras.data.augmentation import Augmentation
from googlenet_keras.data.decode import decode
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError


def test_digits_are_all_there_once():
    digits = open_dataset("digits")
    counts = [digits.split(name).count for name in ("train", "validation", "test")]
    assert counts == [1197, 300, 300]
    seen = {r.numpy() for s in (digits.train, digits.validation, digits.test)
            for _, _, r in s.in_order()}  # fmt: skip
    assert len(seen) == 1797
    assert digits.class_names == tuple("0123456789")
    assert min(digits.validation.class_counts) >= 28


def test_a_digit_keeps_its_pixels():
    from sklearn.datasets import load_digits

    digits = open_dataset("digits")
    raw = load_digits()
    pixels = np.rint(raw.images * 255 / 16).astype(np.uint8)
    known = {p.tobytes(): t for p, t in zip(pixels, raw.target, strict=True)}
    for _, label, reference in digits.test.in_order().take(20):
        decoded = decode(digits.test.load(reference)).numpy()[..., 0]
        assert known[decoded.tobytes()] == label


@pytest.mark.slow
def test_orders_are_complete_and_decided_by_seed_and_epoch():
    split = open_dataset("digits").validation

    def order(seed, epoch):
        return [int(i) for i, _, _ in split.shuffled(seed, epoch)]

    assert sorted(order(0, 0)) == list(range(300))
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) != order(1, 1)
    labels = {int(i): int(label) for i, label, _ in split.in_order()}
    assert all(labels[int(i)] == label for i, label, _ in split.shuffled(3, 4))


def test_an_empty_name_is_refused():
    with pytest.raises(UserError, match="a data set needs a name"):
        open_dataset("")


def test_folders_that_do_not_exist():
    for name in ("~no_such_user/x", "./" + "x" * 300):
        with pytest.raises(UserError, match="no such folder"):
            open_dataset(name)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """TFDS data made here by TFDS itself: `colors`, and `sounds` without images."""
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("tfds")

    class Colors(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            label = tfds.features.ClassLabel(names=["red", "blue"])
            features = {"image": tfds.features.Image(), "label": label}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, manager):
            return {
                "train": self._generate_examples(20),
                "test": self._generate_examples(4),
            }

        def _generate_examples(self, count):
            for i in range(count):
                image = np.zeros((40, 40, 3), np.uint8)
                image[..., 2 * (i % 2)] = 200 + i
                yield i, {"image": image, "label": i % 2}

    class Sounds(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"pitch": np.float32})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            yield 0, {"pitch": 1.0}

    for builder in (Colors, Sounds):
        builder(data_dir=folder, file_format="tfrecord").download_and_prepare()
    return folder


def test_prepared_data_is_read(data_dir):
    data = open_dataset("colors", data_dir=data_dir)
    assert data.class_names == ("red", "blue")
    assert [s.count for s in (data.train, data.validation, data.test)] == [16, 4, 4]
    for _, label, reference in data.train.in_order():
        image = decode(data.train.load(reference)).numpy()
        assert image[..., 2 * int(label)].min() >= 200


def test_every_image_is_in_one_split_once(data_dir):
    data = open_dataset("colors", data_dir=data_dir, validation_fraction=0.3)
    seen = [
        decode(split.load(reference)).numpy().max()
        for split in (data.train, data.validation)
        for _, _, reference in split.in_order()
    ]
    assert sorted(seen) == list(range(200, 220))


def test_tfds_orders_are_complete_and_decided_by_seed_and_epoch(data_dir):
    split = open_dataset("colors", data_dir=data_dir).train

    def order(seed, epoch):
        return [int(i) for i, _, _ in split.shuffled(seed, epoch)]

    assert sorted(order(0, 0)) == list(range(16))
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("global_seed", [0, 1])
def test_training_batches_do_not_depend_on_the_global_seed(data_dir, global_seed):
    tf.keras.utils.set_random_seed(global_seed)
    split = open_dataset("colors", data_dir=data_dir).train
    augment = Augmentation(32, 32, 0.5, 1.0, False, 0.0, False)
    batches = pipeline.TrainingPipeline(split, augment, ("main",), 8, 0).batches(2)
    labels = [labels["main"].numpy().tolist() for _, labels in batches]
    order = [[int(label) for _, label, _ in split.shuffled(0, e)] for e in (0, 1)]
    assert labels == [order[0][:8], order[0][8:], order[1][:8], order[1][8:]]


def test_bad_names_and_data(data_dir):
    for name in ("mnist:9.9.9", "my data", "no_such_set/config", "x" * 300):
        with pytest.raises(UserError, match="which is none of them"):
            open_dataset(name, data_dir=data_dir)
    with pytest.raises(UserError, match="received 'no_such_set', which is none"):
        open_dataset("no_such_set", data_dir=data_dir)
    with pytest.raises(UserError, match="needs the features image and label"):
        open_dataset("sounds", data_dir=data_dir)
    with pytest.raises(UserError, match=r"nothing is downloaded.*--download"):
        open_dataset("cifar10", data_dir=data_dir)
