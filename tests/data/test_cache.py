import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from googlenet_keras.data import cache, pipeline
from googlenet_keras.data.augmentation import Augmentation
from googlenet_keras.data.cache import cache_split
from googlenet_keras.data.decode import decode
from googlenet_keras.data.pipeline import UnreadableImageError
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.files import cache_folder


def batches(split):
    augment = Augmentation(32, 32, 0.5, 1.3, True, 0.0, False)
    made = pipeline.TrainingPipeline(split, augment, ("main",), 4, seed=0).batches(2)
    return [(images.numpy(), labels["main"].numpy()) for images, labels in made]


def test_the_memory_cache_gives_the_same_batches(photos):
    root = photos(a=5, b=5)
    split = open_dataset(str(root)).train
    kept = cache_split(split, "memory", 32, 32)
    expected = batches(split)
    for path in split.files:
        path.unlink()
    for (images, labels), (same, same_labels) in zip(
        expected, batches(kept), strict=True
    ):
        np.testing.assert_array_equal(images, same)
        np.testing.assert_array_equal(labels, same_labels)


@pytest.mark.slow
def test_disk_keeps_small_upright_copies_in_the_same_order(photos):
    root = photos(a=5, b=5)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(root / "a" / "0.jpg") as image:
        image.resize((90, 60)).save(root / "a" / "0.jpg", exif=exif)
    split = open_dataset(str(root)).train
    kept = cache_split(split, "disk", 28, 28)
    for (_, label, reference), (_, same, small) in zip(
        split.in_order(), kept.in_order(), strict=True
    ):
        assert int(label) == int(same)
        whole, copy = decode(split.load(reference)), kept.load(small)
        assert min(copy.shape[:2]) == 32
        assert (copy.shape[0] > copy.shape[1]) == (whole.shape[0] > whole.shape[1])
        expected = tf.image.resize(whole, copy.shape[:2], antialias=True)
        assert np.abs(expected - tf.cast(copy, tf.float32)).mean() < 4
    assert [n.tolist() for _, n in batches(kept)] == [
        n.tolist() for _, n in batches(split)
    ]
    assert batches(kept)[0][0].shape == (4, 32, 32, 3)


@pytest.mark.slow
def test_images_are_never_enlarged(photos):
    split = open_dataset(str(photos(a=3, b=3))).train
    kept = cache_split(split, "disk", 224, 224)
    assert {kept.load(r).shape for _, _, r in kept.in_order()} == {(40, 56, 3)}


@pytest.mark.slow
def test_copies_are_made_once_and_again_when_a_file_changes(photos, monkeypatch):
    root = photos(a=3, b=3)
    made = []
    make = cache._write_copies
    monkeypatch.setattr(cache, "_write_copies", lambda *a: made.append(a) or make(*a))
    for _ in range(2):
        cache_split(open_dataset(str(root)).train, "disk", 32, 32)
    assert len(made) == 1
    path = open_dataset(str(root)).train.files[0]
    with Image.open(path) as image:
        image.resize((44, 44)).save(path)
    cache_split(open_dataset(str(root)).train, "disk", 32, 32)
    assert len(made) == 2


@pytest.mark.slow
def test_copies_appear_whole_or_not_at_all(photos, monkeypatch):
    split = open_dataset(str(photos(a=3, b=3))).train

    def fail(split, side, folder):
        (folder / "0").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(cache, "_write_copies", fail)
        with pytest.raises(UserError, match=r"cannot be cached: .*No space left"):
            cache_split(split, "disk", 32, 32)
    kept = cache_split(split, "disk", 32, 32)
    assert kept.load(next(iter(kept.in_order()))[2]).shape == (37, 52, 3)


@pytest.mark.slow
def test_another_process_that_was_faster_is_no_error(photos, monkeypatch):
    split = open_dataset(str(photos(a=3, b=3))).train
    write = cache._write_copies

    def twice(split, side, folder):
        write(split, side, folder)
        final = folder.with_name(folder.name.partition(".")[0])
        final.mkdir()
        write(split, side, final)

    monkeypatch.setattr(cache, "_write_copies", twice)
    kept = cache_split(split, "disk", 32, 32)
    assert len(batches(kept)) == 2 * (split.count // 4)
    folder = next(iter(kept.in_order()))[2].numpy().decode().rpartition("/")[0]
    assert not [p for p in tf.io.gfile.listdir(folder + "/..") if p.endswith(".tmp/")]


@pytest.mark.slow
def test_the_temporary_folder_of_a_killed_process_is_removed(photos):
    split = open_dataset(str(photos(a=3, b=3))).train
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    parent = cache_folder() / "images"
    name = f"{cache._digest(split.files, round(34 * 8 / 7))}.{socket.gethostname()}"
    for process in (killed.pid, os.getppid()):
        (parent / f"{name}-{process}.new.tmp").mkdir(parents=True)
    cache_split(split, "disk", 34, 34)
    left = [path.name for path in parent.glob("*.tmp")]
    assert left == [f"{name}-{os.getppid()}.new.tmp"]  # of one that is alive


def test_disk_needs_files():
    with pytest.raises(UserError, match="use --cache memory"):
        cache_split(open_dataset("digits").train, "disk", 32, 32)


@pytest.mark.slow
def test_copies_of_an_older_decoding_are_not_used(photos, monkeypatch):
    split = open_dataset(str(photos(a=3, b=3))).train
    before = cache_split(split, "disk", 32, 32)
    monkeypatch.setattr(cache, "DECODING_VERSION", 1)
    after = cache_split(split, "disk", 32, 32)
    first, second = (next(iter(x.in_order()))[2].numpy() for x in (before, after))
    assert first != second


@pytest.mark.slow
def test_copies_that_were_removed_are_made_again(photos):
    split = open_dataset(str(photos(a=3, b=3))).train
    kept = cache_split(split, "disk", 32, 32)
    first = next(iter(kept.in_order()))[2].numpy()
    os.unlink(first)
    again = cache_split(split, "disk", 32, 32)
    assert [again.load(r).shape for _, _, r in again.in_order()] == [(37, 52, 3)] * 4
    assert sorted(os.listdir(os.path.dirname(first))) == [b"0", b"1", b"2", b"3"]


def test_a_file_of_the_same_size_and_time_is_another(photos):
    """As `cp -p` or an archive leaves it."""
    split = open_dataset(str(photos(a=3, b=3))).train
    path, other = split.files[:2]
    before, size = cache._digest(split.files, 32), path.stat().st_size
    then = path.stat().st_mtime_ns
    content = other.read_bytes().ljust(size, b"\0")[:size]
    path.write_bytes(content)
    os.utime(path, ns=(then, then))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (size, then)
    assert cache._digest(split.files, 32) != before


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["memory", "disk"])
def test_an_image_that_cannot_be_read_any_more_is_named(photos, mode):
    split = open_dataset(str(photos(a=3, b=3))).train
    path = split.files[1]
    if mode == "memory":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:99])
    with pytest.raises(UnreadableImageError, match=f"{path} is (gone|no whole image)"):
        cache_split(split, mode, 30, 30)
