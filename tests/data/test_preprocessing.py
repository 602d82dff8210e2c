import numpy as np
import pytest
import tensorflow as tf
from making import both_ways, ramp
from making_pictures import scene

from googlenet_keras.data.preprocessing import (
    CORNERS_AND_CENTER,
    PAPER_SCALES,
    START_MIDDLE_END,
    Crops,
    Preprocessing,
    crop_windows,
    resize,
)
from googlenet_keras.errors import UserError

INPUT = Preprocessing(224, 224, 0.875)


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
    with pytest.raises(UserError, match=r"0.01 to 1; received 96, 128, 1\.5"):
        Preprocessing.from_json({**written, "crop_fraction": 1.5})


def places(image: np.ndarray, kind: str) -> np.ndarray:
    """[crops, 2, 2]: row and column in `image` of each crop's first and last pixel."""
    crops = Crops(INPUT, kind)(image).numpy()
    return crops[:, [0, -1], [0, -1], :2]


def coordinates(height: int, width: int) -> np.ndarray:
    """[height, width, 3] float32 pixels that say their own row and column."""
    rows, columns = np.indices((height, width), np.float32)
    return np.stack([rows, columns, columns], -1)


def starts(windows) -> list[list[float]]:
    """The row and column where each window of `coordinates` begins."""
    return [window[0, 0, :2].numpy().tolist() for window in windows]


# By hand, for an input of 224 (section 7 of arXiv 1409.4842): the shorter side becomes
# 256, 288, 320 and 352; a square of that side begins at 0, in the middle and at the end
# of the longer side; in it a 224 window begins at 0 and at side - 224, or half of that.
LANDSCAPE = {  # of a photo of 600 x 800 pixels: longer sides, and where squares begin
    256: (341, (0, 42, 85)),
    288: (384, (0, 48, 96)),
    320: (427, (0, 54, 107)),
    352: (469, (0, 58, 117)),
}
ROOM = {256: 32, 288: 64, 320: 96, 352: 128}


@pytest.mark.parametrize("portrait", [False, True])
@pytest.mark.parametrize("side", ROOM)
def test_where_the_papers_squares_and_windows_begin(side, portrait):
    longer, squares = LANDSCAPE[side]
    image = coordinates(*((longer, side) if portrait else (side, longer)))
    found = starts(crop_windows(image, (side, side), START_MIDDLE_END))
    assert found == [[s, 0] if portrait else [0, s] for s in squares]
    room = ROOM[side]
    square = coordinates(side, side)
    assert starts(crop_windows(square, (224, 224), CORNERS_AND_CENTER)) == [
        [0, 0], [0, room], [room, 0], [room, room], [room // 2, room // 2]
    ]  # fmt: skip


@pytest.mark.parametrize("portrait", [False, True])
def test_the_papers_144_crops_of_a_photo(portrait):
    """Where they lie in the photo, found from pixels that say where they are."""
    image = coordinates(800, 600) if portrait else coordinates(600, 800)
    found = places(image, "144")
    assert len(found) == 144
    expected = []
    for side, (_, squares) in LANDSCAPE.items():
        for begin in squares:
            corner = np.array([begin, 0] if portrait else [0, begin])
            room = ROOM[side]
            for window in ((0, 0), (0, room), (room, 0), (room, room),
                           (room // 2, room // 2)):  # fmt: skip
                expected.append((corner + window, corner + window + 223, side))
            expected.append((corner, corner + side - 1, side))
    for crop, (first, last, side) in zip(found, expected, strict=False):
        photo = 600 / side  # pixels of the photo for one of the resized
        # at most a pixel off: the longer side is rounded, the whole is resized again
        np.testing.assert_allclose(crop[0], first * photo, atol=2.5)
        np.testing.assert_allclose(crop[1], last * photo, atol=2.5)
    # the second half is the first, mirrored
    both = Crops(INPUT, "144")(image).numpy()
    np.testing.assert_array_equal(both[72:], both[:72, :, ::-1])


def test_ten_crops_are_torchvisions():
    """torchvision 0.29.1, on torch.arange(30).reshape(1, 5, 6):

    [crop[0].tolist() for crop in torchvision.transforms.TenCrop((2, 3))(image)]
    """
    theirs = [
        [[0, 1, 2], [6, 7, 8]],
        [[3, 4, 5], [9, 10, 11]],
        [[18, 19, 20], [24, 25, 26]],
        [[21, 22, 23], [27, 28, 29]],
        [[14, 15, 16], [20, 21, 22]],
    ]
    theirs += [[row[::-1] for row in crop] for crop in theirs]
    image = np.arange(30).reshape(5, 6, 1)
    crops = tf.stack(crop_windows(image, (2, 3), CORNERS_AND_CENTER))
    found = tf.concat([crops, tf.reverse(crops, [2])], 0).numpy()[..., 0]
    np.testing.assert_array_equal(found, theirs)


def test_ten_crops_of_a_photo_are_cut_from_its_resized_whole():
    image = coordinates(256, 320)  # what a shorter side of 256 leaves as it is
    found = Crops(INPUT, "10")(image).numpy()
    assert found.shape == (10, 224, 224, 3)
    first = found[:5, 0, 0, :2]
    np.testing.assert_allclose(first, [[0, 0], [0, 96], [32, 0], [32, 96], [16, 48]])
    center = Crops(INPUT)(image.astype(np.uint8)).numpy()[0]
    np.testing.assert_allclose(
        Crops(INPUT, "10")(image.astype(np.uint8)).numpy()[4], center, atol=1e-3
    )


def test_a_phone_stretches_the_whole_photo():
    image = coordinates(448, 672)
    crop = Crops(INPUT, "phone")(image).numpy()
    assert crop.shape == (1, 224, 224, 3)
    np.testing.assert_allclose(crop[0, :, 0, 0], 2 * np.arange(224), atol=1e-3)
    np.testing.assert_allclose(crop[0, 0, :, 1], 3 * np.arange(224), atol=1e-3)


def test_the_region_of_interest_is_the_crop():
    geometry = Preprocessing(128, 128, 0.875)  # of 534 x 400: 350 x 350 from (92, 25)
    expected = (25 / 400, 92 / 534, 375 / 400, 442 / 534)
    assert geometry.region_of_interest(534, 400) == expected
    image = scene()
    square = Crops(geometry, "phone-square")(image).numpy()
    (top, left), (height, width) = (x.numpy() for x in geometry.window(image.shape[:2]))
    center = image[top : top + height, left : left + width]
    np.testing.assert_array_equal(square, Crops(geometry, "phone")(center).numpy())
    assert not np.array_equal(square, Crops(geometry, "1")(image).numpy())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["1", "10", "144", "phone", "phone-square"])
def test_crops_of_a_file_are_those_of_its_pixels(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    crops = Crops(Preprocessing(32, 48, 0.875), kind)
    encoded = tf.io.encode_png(pixels)
    dataset = tf.data.Dataset.from_tensors(encoded).map(crops.read)
    assert dataset.element_spec.shape == (crops.count, 32, 48, 3)
    (read,) = dataset.as_numpy_iterator()
    np.testing.assert_allclose(read, crops(pixels).numpy(), atol=1e-3)


@pytest.mark.parametrize("kind", ["1", "10", "144", "phone", "phone-square"])
def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(kind):
    rows, columns = np.indices((1024, 1408))  # an eighth of it is cut at whole pixels
    waves = [128 + 100 * np.sin(rows / a + columns / b) for a, b in
             ((90, 140), (230, -110), (-60, 170))]  # fmt: skip
    encoded = tf.io.encode_jpeg(np.stack(waves, -1).astype(np.uint8), quality=95)
    crops = Crops(Preprocessing(32, 32, 0.875), kind)
    whole = crops(tf.io.decode_jpeg(encoded)).numpy()
    # at least 3 pixels are left for each of the input's
    np.testing.assert_allclose(crops.read(encoded).numpy(), whole, atol=3)


def test_an_unknown_kind():
    with pytest.raises(UserError, match="crops must be one of 1, 10, 144, phone"):
        Crops(INPUT, "12")


def test_the_papers_scales():
    assert [round(224 * scale) for scale in PAPER_SCALES] == [256, 288, 320, 352]


@pytest.mark.parametrize(
    "values", [(32.0, 32, 1.0), (32, True, 1.0), (32, 32, True), (32, 32, float("nan")),
               ("32", 32, 1.0), (32, None, 1.0), (32, 0, 1.0), (32, 32, 0)],
)  # fmt: skip
def test_values_that_no_preprocessing_has(values):
    received = ", ".join(map(repr, values))
    with pytest.raises(UserError, match=f"whole numbers from 1, .*received {received}"):
        Preprocessing(*values)
