import pytest
import tensorflow as tf

from googlenet_keras.data.checks import is_image, refuse_broken
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError


def test_whole_files_pass_and_half_files_do_not(tmp_path):
    data = tf.io.encode_jpeg(tf.zeros([64, 64, 3], tf.uint8)).numpy()
    (tmp_path / "whole.jpg").write_bytes(data)
    (tmp_path / "half.jpg").write_bytes(data[: len(data) - 20])
    assert is_image(tmp_path / "whole.jpg")
    assert not is_image(tmp_path / "half.jpg")
    assert not is_image(tmp_path / "missing.jpg")


def test_broken_files_are_named_with_the_count_of_others(photos):
    root = photos(a=4, b=4)
    whole = (root / "a" / "0.jpg").read_bytes()
    (root / "a" / "0.jpg").write_text("no image")
    (root / "a" / "1.jpg").write_bytes(b"")
    (root / "b" / "2.jpg").write_bytes(whole[: len(whole) // 2])
    data = open_dataset(str(root))
    with pytest.raises(UserError) as error:
        refuse_broken([*data.train.files, *data.validation.files])
    message = str(error.value)
    assert all(f"{n}.jpg" in message for n in ("a/0", "a/1", "b/2"))
    assert "(5 others are)" in message


def test_only_the_first_of_many_are_named(tmp_path):
    paths = [tmp_path / f"{i}.jpg" for i in range(8)]
    for path in paths:
        path.write_bytes(b"text")
    with pytest.raises(UserError, match=r"4\.jpg and 3 more is not \(0 others are\)"):
        refuse_broken(paths)
