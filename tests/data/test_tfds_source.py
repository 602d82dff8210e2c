import numpy as np
import pytest

from googlenet_keras.data.sources import open_dataset
from googlenet_keras.data.transforms import decode
from googlenet_keras.errors import UserError


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """TFDS data made here by TFDS itself: `colours`, and `sounds` without images."""
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("tfds")

    class Colours(tfds.core.GeneratorBasedBuilder):
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

    for builder in (Colours, Sounds):
        builder(data_dir=folder, file_format="tfrecord").download_and_prepare()
    return folder


def test_prepared_data_is_read(data_dir):
    data = open_dataset("colours", data_dir=data_dir)
    assert data.class_names == ("red", "blue")
    assert [s.count for s in (data.train, data.validation, data.test)] == [16, 4, 4]
    for _, label, reference in data.train.in_order():
        image = decode(data.train.load(reference)).numpy()
        assert image[..., 2 * int(label)].min() >= 200


def test_every_image_is_in_one_split_once(data_dir):
    data = open_dataset("colours", data_dir=data_dir, validation_fraction=0.3)
    seen = [
        decode(split.load(reference)).numpy().max()
        for split in (data.train, data.validation)
        for _, _, reference in split.in_order()
    ]
    assert sorted(seen) == list(range(200, 220))


def test_orders_are_complete_and_decided_by_seed_and_epoch(data_dir):
    split = open_dataset("colours", data_dir=data_dir).train

    def order(seed, epoch):
        return [int(i) for i, _, _ in split.shuffled(seed, epoch)]

    assert sorted(order(0, 0)) == list(range(16))
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)


def test_bad_names_and_data(data_dir):
    with pytest.raises(UserError, match="received 'no_such_set', which is none"):
        open_dataset("no_such_set", data_dir=data_dir)
    with pytest.raises(UserError, match="needs the features image and label"):
        open_dataset("sounds", data_dir=data_dir)
    with pytest.raises(UserError, match=r"nothing is downloaded.*--download"):
        open_dataset("cifar10", data_dir=data_dir)
