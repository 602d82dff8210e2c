import io
import os
from itertools import islice, repeat

import numpy as np
import pytest
import tensorflow as tf
from making import classifier as make_classifier
from making_pictures import (
    encoded,
    png16,
    scene,
    transparent_files,
    turned_files,
    upright,
)
from PIL import Image

from googlenet_keras import predictor as predictor_module
from googlenet_keras.artifacts.artifact import open_classifier
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.decode import decode_unoriented
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.tables import print_predictions
from googlenet_keras.predictor import predict


@pytest.fixture(scope="module")
def classifier(run_folder):
    return Classifier.load(run_folder)


@pytest.fixture(scope="module")
def small():
    """A Classifier that takes a moment to make."""
    return make_classifier("bn")


@pytest.fixture
def batch_size(monkeypatch):
    """Sets how many images are predicted at a time."""

    def set_size(size):
        for name in ("EVALUATION_BATCH_SIZE", "FIRST_BATCH_SIZE"):
            monkeypatch.setattr(predictor_module, name, size)

    return set_size


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
    (black, white, black_again, _, white_again) = (p.top[0][1] for p in found)
    assert [black_again, white_again] == pytest.approx([black, white], abs=1e-5)
    assert black != pytest.approx(white, abs=1e-4)


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


def close(found, expected):
    assert dict(found.top) == pytest.approx(dict(expected.top), abs=1e-5), found.path


@pytest.mark.parametrize("turn", range(1, 9))
def test_turned_files_are_predicted_as_their_upright_pixels(classifier, tmp_path, turn):
    for name, data in turned_files(turn).items():
        (tmp_path / name).write_bytes(data)
    for found in classifier.predict(tmp_path, top=10):
        stored = decode_unoriented(found.path.read_bytes()).numpy()
        (expected,) = classifier.predict(upright(stored, turn), top=10)
        close(found, expected)
        if found.path.suffix != ".jpg":  # Pillow's own decoder differs by a little
            with Image.open(found.path) as picture:
                close(classifier.predict(picture, top=10)[0], expected)


def test_transparent_files_are_predicted_on_black(classifier, tmp_path):
    for name, (data, colors) in transparent_files().items():
        (tmp_path / name).write_bytes(data)
        pixels = np.tile(np.repeat(np.uint8(colors), 3, axis=0), (6, 1, 1))
        (expected,) = classifier.predict(pixels, top=10)
        with Image.open(tmp_path / name) as picture:
            for image in (tmp_path / name, picture):
                close(classifier.predict(image, top=10)[0], expected)


def test_a_pil_image_of_16_bits_is_predicted_as_its_file(classifier, tmp_path):
    (tmp_path / "a.png").write_bytes(png16(scene()[..., :1] * np.uint16(257)))
    (expected,) = classifier.predict(tmp_path / "a.png", top=10)
    with Image.open(tmp_path / "a.png") as picture:
        close(classifier.predict(picture, top=10)[0], expected)


def test_a_pil_image_with_a_damaged_exif_block_is_upright(classifier):
    picture = Image.open(io.BytesIO(encoded(scene(), "PNG", exif=b"II*\0 damaged")))
    (expected,) = classifier.predict(scene())
    close(classifier.predict(picture)[0], expected)


def test_what_a_file_in_a_folder_is_that_is_no_image_is_said(classifier, images):
    (images / "c.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (images / "d.jpg").write_bytes((images / "b.jpg").read_bytes()[:-100])
    (images / "e.jpg").symlink_to("/proc/self/mem")  # which no one reads
    (images / "f.jpg").write_text("x")
    problems = {p.path.name: p.problem for p in classifier.predict(images)}
    assert problems == {
        "a.png": None,
        "b.jpg": None,
        "c.heic": "HEIC (convert it to JPEG or PNG)",
        "d.jpg": "broken or truncated",
        "e.jpg": "Input/output error",
        "f.jpg": "no image",
    }


def test_pipes_devices_and_sparse_files_are_refused_unread(classifier, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(1 << 32)
    for path, problem in {
        tmp_path / "pipe": "no regular file",
        tmp_path / "sparse.jpg": r"too many bytes \(4,294,967,296,",
        "/dev/zero": "no regular file",
    }.items():
        with pytest.raises(UserError, match=f"is not: {problem}"):
            classifier.predict(path)


def test_a_table_says_what_is_no_image(classifier, images, capsys):
    (images / "c.tif").write_bytes(encoded(scene(), "TIFF"))
    print_predictions(classifier.predict(images))
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "c.tif" in x]
    assert line.rstrip().endswith("TIFF (convert it to JPEG or PNG)")


@pytest.mark.slow
def test_a_stream_has_the_predictions_of_predict(small, images, batch_size):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)
    several = [images, pixels, images / "a.png", Image.fromarray(pixels[0])]
    expected = small.predict(several, top=7)
    assert [p.path and p.path.name for p in expected] == [
        *("a.png", "b.jpg", None, None, None, "a.png", None)
    ]
    batch_size(2)
    for found, wanted in zip(small.stream(several, top=7), expected, strict=True):
        assert found.path == wanted.path
        close(found, wanted)


def test_a_stream_reads_its_images_as_they_are_needed(small, batch_size):
    """A list of all of them would have no end."""
    batch_size(2)
    read = []
    endless = (read.append(1) or x for x in repeat(np.zeros((8, 8, 3), np.uint8)))
    first = list(islice(small.stream(endless, top=1), 3))
    assert len(first) == 3
    assert len(read) == 4


def test_what_a_stream_cannot_read_has_a_problem(small, images):
    (images / "text.jpg").write_text("x")
    (images / "empty").mkdir()
    named = {
        "gone.jpg": "No such file or directory",
        "a.png": None,
        "text.jpg": "no image",
        "empty": "a folder without files",
        "a.png/b.jpg": "Not a directory",
        "x" * 300: "File name too long",
    }
    found = list(small.stream(images / name for name in named))
    assert [p.path for p in found] == [images / name for name in named]
    assert [p.problem for p in found] == list(named.values())
    assert [len(p.top) for p in found] == [0, 5, 0, 0, 0, 0]


def test_a_file_that_disappears_while_others_are_predicted(small, images, batch_size):
    batch_size(1)
    stream = small.stream(images)
    first = next(stream)
    (images / "b.jpg").unlink()
    (second,) = stream
    assert (first.path.name, first.problem) == ("a.png", None)
    assert (second.path.name, second.top) == ("b.jpg", ())
    assert second.problem == "No such file or directory"


def test_a_stream_refuses_at_once_what_it_cannot_do(small, images):
    with pytest.raises(UserError, match=r"top must be at least 1; received 0\."):
        small.stream(images, top=0)
    with pytest.raises(UserError, match="no such image or folder"):
        next(small.stream(""))
    with pytest.raises(UserError, match=r"must be \[height, width, 3\]"):
        next(small.stream(np.zeros((8, 8))))
