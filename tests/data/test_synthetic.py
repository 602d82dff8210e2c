import numpy as np
import pytest
import tensorflow as tf
from making import ramp

from googlenet_keras.data.synthetic import (
    blots,
    enlargement,
    jigsaw,
    leaves,
    strokes,
    synthetic_picture,
    texture,
)


def made(function, image, seed):
    return function(tf.constant(image), tf.constant([seed, 1], tf.int64)).numpy()


@pytest.mark.parametrize("size", [(32, 48), (35, 50)])
def test_a_jigsaw_has_the_same_tiles_elsewhere(size):
    image = ramp(*size)
    rows, columns = size[0] // 4, size[1] // 4

    def tiles(picture):
        return [
            picture[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
            for i in range(4)
            for j in range(4)
        ]

    before, after = tiles(image), tiles(made(jigsaw, image, 3))
    places = [next(i for i, x in enumerate(before) if np.array_equal(x, y))
              for y in after]  # fmt: skip
    assert sorted(places) == list(range(16))
    assert places != sorted(places)
    assert made(jigsaw, image, 3).shape == (*size, 3)


@pytest.mark.parametrize("size", [(32, 48), (35, 50)])
def test_a_texture_repeats_a_small_part(size):
    image = ramp(*size)
    found = made(texture, image, 3)
    rows, columns = size[0] // 4, size[1] // 4
    part = found[:rows, :columns]
    row, column = part[0, 0, 1], part[0, 0, 0]
    np.testing.assert_array_equal(
        part, image[row : row + rows, column : column + columns]
    )
    np.testing.assert_array_equal(found[rows : 2 * rows, :columns], part[::-1])
    np.testing.assert_array_equal(found[:rows, columns : 2 * columns], part[:, ::-1])
    np.testing.assert_array_equal(found[: 2 * rows], found[2 * rows : 4 * rows])
    assert found.shape == image.shape


@pytest.mark.parametrize("size", [(32, 48), (35, 50)])
def test_an_enlargement_has_a_small_part(size):
    image = ramp(*size)  # red and green tell the place
    for seed in range(10):
        found = made(enlargement, image, seed)
        assert found.shape == image.shape
        for color, side in ((1, size[0]), (0, size[1])):
            part = np.ptp(found[..., color].astype(int)) + 1
            assert 1 < part <= 0.3 * side + 2


def test_leaves_of_all_sizes_have_the_images_colors_and_hide_each_other():
    image = ramp(48, 64)
    for seed in range(10):
        found = made(leaves, image, seed).reshape(-1, 3)
        colors, counts = np.unique(found, axis=0, return_counts=True)
        assert (colors.max(axis=0)[:2] < (64, 48)).all()
        assert 8 < len(colors) < 64  # some are hidden
        assert counts.max() > 10 * np.median(counts)


def test_strokes_are_black_or_white_on_a_plain_background():
    image = ramp(48, 64)
    inks = set()
    for seed in range(20):
        found = made(strokes, image, seed)
        colors, counts = np.unique(found.reshape(-1, 3), axis=0, return_counts=True)
        background = colors[counts.argmax()]
        share = counts.max() / counts.sum()
        assert 0.4 < share < 0.98
        ink = 255 * int(background.mean() < 127.5)
        assert (found == ink).all(axis=-1).any()
        inks.add(ink)
    assert inks == {0, 255}


def test_blots_are_smooth_gray_or_colored_and_do_not_show_the_image():
    pictures = [made(blots, ramp(48, 64), seed) for seed in range(20)]
    for seed, picture in enumerate(pictures):
        assert picture.shape == (48, 64, 3)
        np.testing.assert_array_equal(
            made(blots, np.zeros_like(picture), seed), picture
        )
        steps = np.abs(np.diff(picture.astype(int), axis=1))
        assert steps.mean() < 0.2 * max(np.ptp(picture), 1)
    is_gray = [(picture == picture[..., :1]).all() for picture in pictures]
    assert 4 < sum(is_gray) < 16
    assert np.mean([np.ptp(picture) for picture in pictures]) > 100


def test_all_kinds_are_made_and_the_seed_decides():
    image = ramp(32, 32)
    pictures = [made(synthetic_picture, image, seed) for seed in range(12)]
    for seed, picture in enumerate(pictures):
        assert picture.shape == image.shape
        assert picture.dtype == np.uint8
        np.testing.assert_array_equal(made(synthetic_picture, image, seed), picture)
    assert len({picture.tobytes() for picture in pictures}) == 12
    has_blue = [picture[..., 2].any() for picture in pictures]  # strokes alone
    same_colors = [np.array_equal(np.sort(x.reshape(-1, 3), 0),
                                  np.sort(image.reshape(-1, 3), 0))
                   for x in pictures]  # fmt: skip
    kinds = {*zip(has_blue, same_colors, strict=True)}
    assert kinds == {(True, False), (False, True), (False, False)}
