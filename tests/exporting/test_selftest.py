import numpy as np
import pytest
from making import write_photos

from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.artifacts.artifact import Contents
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.exporting import selftest
from googlenet_keras.exporting.measuring import Images

GEOMETRY = Preprocessing(32, 48, 0.875)


def flat(*color):
    return np.full((32, 48, 3), color, np.float32)


def test_an_image_has_one_image_where_evaluation_looks_and_another_around():
    image = selftest.compose(flat(200, 100, 50), flat(20, 40, 60), GEOMETRY)
    assert (image.shape, image.dtype) == ((64, 72, 3), np.uint8)
    found = selftest.inputs(image, GEOMETRY)
    np.testing.assert_allclose(found["right"], flat(200, 100, 50), atol=1e-3)
    np.testing.assert_allclose(found["phone"][:-1, :-1], 0 * found["phone"][:-1, :-1]
                               + [200, 100, 50], atol=1e-3)  # fmt: skip
    np.testing.assert_allclose(found["channel order"], flat(50, 100, 200), atol=1e-3)
    np.testing.assert_allclose(found["scaling"], flat(200, 100, 50) / 255, atol=1e-3)
    stretched = found["crop"]
    np.testing.assert_allclose(stretched[[0, -1]], 0 * stretched[[0, -1]]
                               + [20, 40, 60], atol=1e-3)  # fmt: skip
    np.testing.assert_allclose(stretched[16, 24], [200, 100, 50], atol=1e-3)


def test_black_and_white_are_no_whole_numbers_when_they_are_scaled():
    image = selftest.compose(flat(0, 0, 0), flat(255, 255, 255), GEOMETRY)
    assert (image.min(), image.max()) == (8, 247)


def test_gray_images_get_colors_and_keep_their_contrast():
    for number in range(6):
        black, white = (selftest.colored(flat(x, x, x), number) for x in (0, 255))
        assert np.abs(white - black).max(-1).min() > 150
        assert np.abs(black[..., 0] - black[..., 2]).min() > 10
    assert not np.array_equal(*(selftest.colored(flat(9, 9, 9), n) for n in (0, 1)))


def test_every_second_of_other_images_gets_colors():
    photo = flat(200, 100, 50)
    np.testing.assert_array_equal(selftest.colored(photo, 2), photo)
    assert np.abs(selftest.colored(photo, 1) - photo).max() > 50


@pytest.mark.parametrize(("count", "candidates"), [(3, 16), (100, 32)])
def test_the_candidates_differ_and_show_all_classes(
    tmp_path, monkeypatch, count, candidates
):
    monkeypatch.setattr(selftest, "colored", lambda image, _: image)
    root = write_photos(tmp_path / "photos", {"a": count, "b": count})
    split = open_dataset(str(root)).train
    contents = Contents(("a", "b"), GEOMETRY, get_architecture("bn"))
    images = Images(split, np.zeros(split.count, int), contents)
    found, again = (selftest.make_candidates(images) for _ in range(2))
    assert len(found) == candidates
    assert {x.shape for x in found} == {(64, 72, 3)}
    np.testing.assert_array_equal(found, again)
    centers = np.array([x[32, 36].argmax() for x in found])  # red for a, green for b
    assert {*centers} == {0, 1}
    around = np.array([x[0].mean(0).argmax() for x in found])
    assert (centers != around).mean() >= 0.5
    assert len({x.tobytes() for x in found}) == candidates


def answers(**changed):
    """Probabilities of four classes for an image; each mistake has a class."""
    classes = {"right": 0, "phone": 0, "crop": 1, "channel order": 2, "scaling": 3}
    made = {name: np.eye(4)[place] for name, place in classes.items()}
    return made | {name: np.array(x) for name, x in changed.items()}


def test_a_files_test_has_its_answers_and_a_tolerance():
    test = selftest.file_test([answers(), answers(phone=[0.96, 0.04, 0, 0])])
    assert test["tolerance"] == 0.06  # 0.02 and twice the mean of 0 and 0.04
    first, second = test["answers"]
    assert (first["image"], second["image"]) == ("0.png", "1.png")
    assert first["classes"] == [0, 1, 2, 3]
    assert first["probabilities"] == {
        "right": [1, 0, 0, 0], "crop": [0, 1, 0, 0], "channel order": [0, 0, 1, 0],
        "scaling": [0, 0, 0, 1],
    }  # fmt: skip


@pytest.mark.parametrize("changed", [
    {"channel order": [0.99, 0.01, 0, 0]},  # as if it were right
    {"channel order": [0, 0.99, 0.01, 0], "crop": [0.99, 0, 0, 0.01]},
])  # fmt: skip
def test_a_mistake_that_changes_little_is_left_out(changed):
    test = selftest.file_test([answers(**changed)] * 2)
    shown = {"right", "crop", "scaling"} - (changed.keys() - {"channel order"})
    kept = {"channel order"} if len(changed) == 2 else set()
    assert {*test["answers"][0]["probabilities"]} == shown | kept


def test_two_mistakes_with_the_same_answers_are_left_out():
    test = selftest.file_test([answers(crop=[0, 0, 0.99, 0.01])] * 2)
    assert {*test["answers"][0]["probabilities"]} == {"right", "scaling"}


def test_of_many_classes_the_likeliest_alone_are_listed():
    random = np.random.default_rng(0)
    many = {name: random.dirichlet(np.full(1000, 0.01)) for name in answers()}
    (listed,) = selftest.file_test([many])["answers"]
    assert 5 <= len(listed["classes"]) <= 20
    assert many["crop"].argmax() in listed["classes"]
