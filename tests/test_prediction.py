import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras.classifier import Classifier
from googlenet_keras.errors import UserError
from googlenet_keras.prediction import predict


@pytest.fixture(scope="module")
def classifier(run_folder):
    return Classifier.load(run_folder)


@pytest.fixture
def images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(pixels).numpy())
    (tmp_path / "b.jpg").write_bytes(tf.io.encode_jpeg(pixels, quality=100).numpy())
    (tmp_path / ".hidden").write_text("x")
    return tmp_path


def test_files_and_folders_give_labels_likeliest_first(classifier, images):
    first, second, again = predict(classifier, [images, images / "a.png"])
    assert (first.path.name, second.path.name) == ("a.png", "b.jpg")
    assert first.top == again.top
    chances = [p for _, p in first.top]
    assert chances == sorted(chances, reverse=True)
    assert len(chances) == 5
    image = classifier.preprocessing(tf.io.decode_png((images / "a.png").read_bytes()))
    row = classifier.probabilities(image.numpy()[None])[0]
    assert first.top[0] == (classifier.labels[row.argmax()], pytest.approx(row.max()))


def test_all_labels_add_up_to_1(classifier, images):
    (found,) = predict(classifier, [images / "a.png"], top=20)
    assert sum(p for _, p in found.top) == pytest.approx(1, abs=1e-5)


def test_what_is_no_image_in_a_folder_is_passed_over(classifier, images):
    (images / "notes.txt").write_text("x")
    tops = {p.path.name: len(p.top) for p in predict(classifier, [images], top=2)}
    assert tops == {"a.png": 2, "b.jpg": 2, "notes.txt": 0}
    (images / "a.png").unlink()
    (images / "b.jpg").unlink()
    assert [p.top for p in predict(classifier, [images])] == [()]


def test_bad_paths(classifier, tmp_path):
    (tmp_path / "text.jpg").write_text("x")
    (tmp_path / "empty").mkdir()
    cases = {
        "at least one": [],
        r"no such image or folder: .*gone": [tmp_path / "gone"],
        r"empty has no files": [tmp_path / "empty"],
        r"whole JPEG.*text\.jpg is not": [tmp_path / "text.jpg"],
    }
    with pytest.raises(UserError, match=r"top must be at least 1; received 0\."):
        list(predict(classifier, [tmp_path], top=0))
    for message, paths in cases.items():
        with pytest.raises(UserError, match=message):
            list(predict(classifier, paths))
