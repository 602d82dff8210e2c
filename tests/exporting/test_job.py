import numpy as np
import pytest

from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.exporting.job import calibration_images

GEOMETRY = Preprocessing(16, 16, 1.0)


def test_images_are_spread_over_the_classes(photos, capsys):
    data = open_dataset(str(photos(a=40, b=10, c=10)))
    images = calibration_images(data, GEOMETRY, 16)
    assert (images.shape, images.dtype) == ((16, 16, 16, 3), np.uint8)
    classes = images.mean(axis=(1, 2)).argmax(axis=1)  # each class has its colour
    assert sorted(np.bincount(classes)) == [5, 5, 6]
    assert "16 calibration images leave ranges to chance" in capsys.readouterr().err


def test_a_rare_class_is_made_up_for(photos):
    data = open_dataset(str(photos(a=40, b=4, c=10)))
    images = calibration_images(data, GEOMETRY, 30)
    classes = images.mean(axis=(1, 2)).argmax(axis=1)
    assert len(images) == 30
    assert np.bincount(classes)[1:].tolist() == [3, 8]


def test_fewer_than_one_of_each_class_are_refused(photos):
    data = open_dataset(str(photos(a=4, b=4, c=4)))
    with pytest.raises(UserError, match="each of the 3 classes; received 2"):
        calibration_images(data, GEOMETRY, 2)


def test_an_image_that_cannot_be_read_any_more_is_named(photos):
    data = open_dataset(str(photos(a=4, b=4)))
    data.train.files[3].unlink()
    with pytest.raises(UserError, match=f"{data.train.files[3]} is gone"):
        calibration_images(data, GEOMETRY, 8)
