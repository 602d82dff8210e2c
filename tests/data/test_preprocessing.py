import numpy as np
import pytest
from making import both_ways, ramp

from googlenet_keras.data.preprocessing import Preprocessing, resize
from googlenet_keras.errors import UserError


def test_whole_image_of_the_right_size_is_itself():
    image = ramp(6, 6)
    result = both_ways(Preprocessing(6, 6, 1.0), image)
    np.testing.assert_array_equal(result, image)
    assert result.dtype == np.float32


@pytest.mark.parametrize("shape", [(8, 20), (20, 8)])
def test_center_crop_keeps_the_middle_square(shape):
    result = both_ways(Preprocessing(8, 8, 1.0), ramp(*shape))
    first_row, first_column = result[0, 0, 1], result[0, 0, 0]
    assert (first_row, first_column) == ((shape[0] - 8) // 2, (shape[1] - 8) // 2)


def test_crop_fraction_is_of_the_shorter_side():
    result = both_ways(Preprocessing(7, 7, 0.875), ramp(8, 16))
    assert result[0, 0].tolist() == [4, 0, 0]  # 7 x 7 of the middle of 8 x 16
    assert result[-1, -1].tolist() == [10, 6, 0]


def test_inputs_that_are_not_square_crop_their_own_aspect():
    result = both_ways(Preprocessing(4, 8, 1.0), ramp(8, 8))
    assert result.shape == (4, 8, 3)
    np.testing.assert_allclose(result[:, 0, 1], [2, 3, 4, 5])


def test_shrinking_is_antialiased():
    board = np.indices((64, 64)).sum(0) % 2 * 255
    image = np.repeat(board[..., None], 3, -1).astype(np.uint8)
    small = both_ways(lambda x: resize(x, (16, 16)), image)
    assert np.abs(small[2:-2, 2:-2] - 127.5).max() < 3


def test_cubic_overshoot_stays_in_range():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:] = 255
    wide = resize(image, (32, 32), "bicubic").numpy()
    assert wide.min() == 0
    assert wide.max() == 255


def test_json_gives_the_same_back_and_nothing_else():
    written = Preprocessing(96, 128, 0.875).to_json()
    assert Preprocessing.from_json(written) == Preprocessing(96, 128, 0.875)
    with pytest.raises(UserError, match=r"no preprocessing: .*'mean'"):
        Preprocessing.from_json({**written, "mean": 0})
    with pytest.raises(UserError, match=r"no preprocessing: .*'width'"):
        Preprocessing.from_json({"height": 96, "crop_fraction": 1.0})
    with pytest.raises(UserError, match=r"at most 1; received 96, 128 and 1\.5"):
        Preprocessing.from_json({**written, "crop_fraction": 1.5})
