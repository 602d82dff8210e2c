import numpy as np
import pytest

from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.exporting import selftest
from googlenet_keras.exporting.made_pictures import make_picture

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


def test_the_candidates_differ_and_are_the_same_again():
    found, again = (selftest.make_candidates(GEOMETRY) for _ in range(2))
    assert len({x.tobytes() for x in found}) == len(found) == 64
    assert {x.shape for x in found} == {(64, 72, 3)}
    np.testing.assert_array_equal(found, again)


def test_a_made_picture_shows_each_mistake():
    for seed in range(8):
        picture = make_picture((64, 48), seed)
        assert picture.shape == (64, 48, 3)
        assert 0 <= picture.min() < picture.max() <= 255
        for other in (picture[..., ::-1], picture[::-1], picture[:, ::-1]):
            assert np.abs(picture - other).mean() > 10


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
