import numpy as np
import pytest
import tensorflow as tf
from making import both_ways, ramp
from making_pictures import scene, transparent_files, turned_files, upright

from googlenet_keras.data.augmentation import (
    CROP_DRAWS,
    JPEG_SHRINK_THRESHOLDS,
    Augmentation,
    jitter_colors,
    random_window,
)
from googlenet_keras.data.dataset import UPRIGHT_JPEG
from googlenet_keras.data.decode import JPEG_RATIOS, decode_unoriented
from googlenet_keras.data.preprocessing import Preprocessing, resize, to_uint8


def augmentation(**changes):
    options = {
        "height": 32,
        "width": 32,
        "crop_area": 0.08,
        "crop_aspect": 4 / 3,
        "mirror": True,
        "color_jitter": 0.4,
        "random_interpolation": True,
    }
    return Augmentation(**(options | changes))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_image():
    image, augment = tf.io.encode_png(ramp(60, 80)), augmentation()
    first = both_ways(lambda x: augment(x, tf.constant([1, 2])), image)
    assert first.dtype == np.uint8
    again = augment(image, tf.constant([1, 2])).numpy()
    other = augment(image, tf.constant([1, 3])).numpy()
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).max() > 10


def window_draws(number):
    return tf.random.stateless_uniform([CROP_DRAWS], [0, number])[:-2]


def test_windows_keep_area_and_aspect_of_the_paper():
    shape, areas, aspects = tf.constant([300, 400, 3]), [], []
    for i in range(200):
        begin, size = random_window(shape, (1, 1), window_draws(i), 0.08, 4 / 3)
        assert np.all(begin + size <= shape[:2])
        areas.append(size[0].numpy() * size[1].numpy() / (300 * 400))
        aspects.append(size[1].numpy() / size[0].numpy())
    assert 0.075 < min(areas) < 0.15
    assert 0.75 < max(areas) <= 1
    assert 0.73 < min(aspects) < 0.8
    assert 1.25 < max(aspects) < 1.36


@pytest.mark.slow
def test_areas_are_uniform():
    shape, areas = tf.constant([400, 400, 3]), []
    for i in range(300):
        _, size = random_window(shape, (1, 1), window_draws(i), 0.08, 1.001)
        areas.append(size[0].numpy() * size[1].numpy() / 400**2)
    quartiles = np.quantile(areas, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [0.31, 0.54, 0.77], atol=0.06)


def test_mirror_turns_about_half_of_the_images():
    augment = augmentation(
        crop_area=1.0, crop_aspect=1.0, color_jitter=0.0, random_interpolation=False
    )
    image = ramp(32, 32)
    mirrored = 0
    for i in range(60):
        result = augment(tf.io.encode_png(image), tf.constant([0, i])).numpy()
        turned = result[0, 0, 0] > result[0, -1, 0]
        np.testing.assert_array_equal(result, image[:, ::-1] if turned else image)
        mirrored += turned
    assert 15 < mirrored < 45


def test_random_interpolation_uses_all_four_methods():
    augment = augmentation(
        crop_area=1.0, crop_aspect=1.0, mirror=False, color_jitter=0.0
    )
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    encoded = tf.io.encode_png(image)
    methods = ("bilinear", "area", "nearest", "bicubic")
    resized = {m: to_uint8(resize(image, (32, 32), m)).numpy() for m in methods}
    known = {pixels.tobytes(): method for method, pixels in resized.items()}
    seen = {
        known[augment(encoded, tf.constant([0, i])).numpy().tobytes()]
        for i in range(40)
    }
    assert seen == set(methods)


def test_jitter_changes_brightness_contrast_and_color_within_bounds():
    image = tf.constant(np.full((4, 4, 3), (50, 60, 70), np.float32))
    grays, chromas = [], []
    for i in range(100):
        result = jitter_colors(image, tf.constant([0, i]), 0.4).numpy()
        grays.append(result.mean())
        chromas.append(result[0, 0, 2] - result[0, 0, 0])
    # a flat image: contrast leaves its mean, brightness is a factor 0.6..1.4
    assert 34 < min(grays) < 42
    assert 78 < max(grays) < 86
    assert 20 * 0.6**3 < min(chromas) < 12
    assert 28 < max(chromas) < 20 * 1.4**3


def test_windows_that_cannot_fit_are_shrunk():
    for i in range(20):
        shape = tf.constant([8, 400, 3])
        begin, size = random_window(shape, (1, 1), window_draws(i), 0.9, 4 / 3)
        assert np.all(begin + size <= shape[:2])
        assert float(size[1] / size[0]) == pytest.approx(1, abs=0.4)


def test_windows_reach_every_corner():
    corners = set()
    for i in range(100):
        shape = tf.constant([3, 3, 3])
        begin, _ = random_window(shape, (1, 1), window_draws(i), 0.2, 1.01)
        corners.add(tuple(begin[:2].numpy()))
    assert {(0, 0), (0, 1), (1, 0), (1, 1)} <= corners


def png(image):
    return tf.io.encode_png(image.astype(np.uint8))


def jpeg(image):
    return tf.io.encode_jpeg(
        image.astype(np.uint8), quality=95, chroma_downsampling=False
    )


def plain_crops(image, size, halved):
    """What Augmentation must come close to: decode, crop, antialiased resize.

    halved: whether the file is a JPEG, whose windows are cut to what libjpeg halves.
    """
    augment = augmentation(
        height=size,
        width=size,
        mirror=False,
        color_jitter=0.0,
        random_interpolation=False,
        crop_area=0.3,
    )
    for i in range(12):
        seed = tf.constant([0, i])
        begin, window = random_window(
            tf.shape(image), (1, 1), window_draws(i), 0.3, 4 / 3
        )
        shrink = window.numpy().min() / size
        ratio = (
            JPEG_RATIOS[sum(shrink >= least for least in JPEG_SHRINK_THRESHOLDS)]
            if halved
            else 1
        )
        (top, left), (height, width) = begin // ratio * ratio, window // ratio * ratio
        crop = image[top : top + height, left : left + width]
        yield seed, augment, resize(crop, (size, size)).numpy()


@pytest.mark.parametrize("encode", [png, jpeg])
def test_a_checkerboard_of_single_pixels_becomes_gray(encode):
    board = np.repeat(np.indices((192, 256)).sum(0)[..., None] % 2 * 255, 3, -1)
    for size in (32, 64):
        for seed, augment, _ in plain_crops(
            board.astype(np.uint8), size, encode is jpeg
        ):
            gray = augment(encode(board), seed).numpy()
            assert np.abs(gray - 127.5).max() <= 3
        preprocessed = Preprocessing(size, size, 0.875).read(encode(board)).numpy()
        assert np.abs(preprocessed - 127.5).max() <= 3


@pytest.mark.parametrize("encode", [png, jpeg])
def test_a_zone_plate_has_no_rings_where_it_is_too_fine(encode):
    rows, columns = np.mgrid[-128:128, -128:128]
    # the frequency grows from 0 in the middle to half a cycle a pixel at the edge
    wave = np.cos(np.pi * (rows**2 + columns**2) / 256)
    image = np.repeat((127.5 + 127.5 * wave)[..., None], 3, -1)
    augment = augmentation(
        height=64,
        width=64,
        crop_area=1.0,
        crop_aspect=1.0,
        mirror=False,
        color_jitter=0.0,
        random_interpolation=False,
    )
    small = augment(encode(image), tf.constant([0, 0])).numpy()[..., 0]
    distance = np.hypot(*np.mgrid[-31.5:32, -31.5:32])
    # at radius r an output pixel has r / 16 * 4 / 4 cycles: rings beyond 8 are aliases
    assert np.std(small[distance < 6]) > 60
    exact = Preprocessing(64, 64, 1.0).read(encode(image)).numpy()[..., 0]
    aliased = tf.image.resize(image, (64, 64)).numpy()[..., 0]
    beyond = distance > 20
    assert np.std(aliased[beyond]) > 25
    assert np.std(exact[beyond]) < 2
    # a JPEG's crop is halved by averages of squares, which leave a trace of the rings
    assert np.std(small[beyond]) < (6 if encode is jpeg else 2)


@pytest.mark.slow
@pytest.mark.parametrize("encode", [png, jpeg])
@pytest.mark.parametrize("size", [32, 60, 100])
def test_cheap_crops_are_those_of_the_plain_way(encode, size):
    rows, columns = np.mgrid[:240, :320]
    waves = [128 + 100 * np.sin(rows / a + columns / b) for a, b in
             ((9, 14), (23, -11), (-6, 17))]  # fmt: skip
    image = np.stack(waves, -1).astype(np.uint8)
    stored = decode_unoriented(encode(image))
    for seed, augment, expected in plain_crops(stored, size, encode is jpeg):
        found = augment(encode(image), seed).numpy()
        if encode is jpeg:
            known = augment(encode(image), seed, UPRIGHT_JPEG)
            np.testing.assert_array_equal(known, found)
        # 0.5: rounding to bytes; a JPEG's window is cut to whole pixels of its half
        assert np.abs(found - expected).max() <= (12 if encode is jpeg else 0.501)
        assert np.abs(found - expected).mean() < (2 if encode is jpeg else 0.26)
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.995


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(1, 9))
def test_files_of_every_kind_are_cropped_upright(turn):
    height, width = upright(scene(), turn).shape[:2]
    augment = augmentation(
        height=height // 2,
        width=width // 2,
        mirror=False,
        color_jitter=0.0,
        random_interpolation=False,
        crop_area=1.0,
        crop_aspect=1.0,
    )
    files = turned_files(turn)
    images = tf.data.Dataset.from_tensor_slices(list(files.values()))
    crops = images.map(lambda x: augment(x, tf.constant([0, 1])))
    for (name, data), crop in zip(files.items(), crops, strict=True):
        stored = decode_unoriented(data).numpy()
        expected = resize(upright(stored, turn), augment.size)
        found = tf.cast(crop, tf.float32)
        # a JPEG is halved by averages of squares
        assert np.abs(found - expected).max() <= (6 if "jpeg" in name else 0.51), name


@pytest.mark.parametrize("name", transparent_files())
def test_crops_are_black_where_the_image_is_transparent(name):
    data, colors = transparent_files()[name]
    augment = augmentation(
        height=6,
        width=9,
        mirror=False,
        color_jitter=0.0,
        random_interpolation=False,
        crop_area=1.0,
        crop_aspect=1.0,
    )
    found = augment(data, tf.constant([0, 1])).numpy()
    np.testing.assert_array_equal(found[:, ::3], np.tile(np.uint8(colors), (6, 1, 1)))
