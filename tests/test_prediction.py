import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from googlenet_keras.artifacts.artifact import open_classifier
from googlenet_keras.classifier import Classifier, predict
from googlenet_keras.errors import UserError


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


@pytest.mark.slow
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


def test_pixels_are_predicted_as_their_file_is(classifier, images):
    (expected,) = classifier.predict(str(images / "a.png"))
    with Image.open(images / "a.png") as picture:
        (from_pil,) = classifier.predict(picture)
        transparent = picture.convert("RGBA")
    pixels = np.asarray(transparent)[..., :3]
    for image in (pixels, pixels.astype(np.float32), transparent, tf.constant(pixels)):
        (found,) = classifier.predict(image)
        assert found == from_pil
    assert from_pil.path is None
    assert [name for name, _ in from_pil.top] == [name for name, _ in expected.top]
    for (_, found), (_, wanted) in zip(from_pil.top, expected.top, strict=True):
        assert found == pytest.approx(wanted, abs=1e-6)


def test_images_of_all_kinds_keep_their_order(classifier, images):
    pixels = np.zeros((3, 20, 30, 3), np.uint8)
    pixels[1] = 255
    found = classifier.predict([pixels, images / "a.png", pixels[1]], top=1)
    assert [p.path for p in found] == [None, None, None, images / "a.png", None]
    assert found[0] == found[2] != found[1] == found[4]


def test_an_upright_photo_is_shown_to_the_network(classifier):
    """EXIF orientation 6: the camera was turned a quarter to the left."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    turned = Image.fromarray(np.rot90(pixels))
    turned.getexif()[0x0112] = 6
    assert classifier.predict(turned) == classifier.predict(pixels)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8)), r"\[height, width, 3\] or .*; received \[8, 8\]\."),
        (np.zeros((8, 8, 4)), r"received \[8, 8, 4\]\."),
        (np.zeros((2, 0, 8, 3)), r"received \[2, 0, 8, 3\]\."),
        (np.full((8, 8, 3), -1.0), "pixels must be RGB values in 0..255; .*float64"),
        (np.full((8, 8, 3), np.nan), "pixels must be RGB values"),
        (np.full((8, 8, 3), "x"), "pixels must be RGB values"),
        (np.zeros((0, 8, 8, 3)), "at least one image"),
        (7, r"received \[\]\."),
    ],
)
def test_what_is_not_an_image(classifier, image, message):
    with pytest.raises(UserError, match=message):
        classifier.predict(image)


def test_pixels_of_0_to_1_are_warned_about(classifier, capsys):
    classifier.predict(np.random.default_rng(0).uniform(0, 1, (8, 8, 3)))
    assert "they must be in 0..255" in capsys.readouterr().err


def test_an_exported_file_predicts_what_its_run_does(classifier, bundle, images):
    exported = open_classifier(bundle / "float32.tflite")
    (found,), (expected,) = (
        x.predict(images / "a.png") for x in (exported, classifier)
    )
    assert found.path == expected.path
    assert dict(found.top) == pytest.approx(dict(expected.top), abs=1e-4)
