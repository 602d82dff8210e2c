import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from making import write_photos
from making_pictures import (
    encoded,
    jpeg_with_exif,
    png16,
    scene,
    tiff,
    transparent_files,
    turned_files,
)

from googlenet_keras.data import checks
from googlenet_keras.data.dataset import ENCODED, UPRIGHT_JPEG
from googlenet_keras.data.folder_source import files_by_label
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json


@pytest.fixture
def root(photos):
    """Two classes of 6 and 5 images with a file of each kind of trouble."""
    root = photos(a=6, b=5)
    whole = (root / "a" / "0.jpg").read_bytes()
    (root / "a" / "0.jpg").write_text("no image")
    (root / "a" / "1.jpg").write_bytes(b"")
    (root / "b" / "2.jpg").write_bytes(whole[: len(whole) // 2])
    shutil.copy(root / "a" / "3.jpg", root / "a" / "twin.jpg")
    shutil.copy(root / "a" / "4.jpg", root / "b" / "liar.jpg")
    return root


PROBLEMS = {"a/0.jpg": "no image", "a/1.jpg": "empty", "b/2.jpg": "broken or truncated"}


def test_the_report_has_every_problem_and_no_other(root):
    found = checks.check_report(root, files_by_label(root))
    assert found["problems"] == PROBLEMS
    assert found["duplicates"] == [["a/3.jpg", "a/twin.jpg"], ["a/4.jpg", "b/liar.jpg"]]
    assert found["contradictions"] == [["a/4.jpg", "b/liar.jpg"]]
    assert found["classes"] == {"a": 5, "b": 5}
    assert (found["files"], found["images"]) == (13, 10)
    assert found["short_side_pixels"] == dict.fromkeys(
        ("minimum", "p10", "median", "p90", "maximum"), 40
    )


def test_the_same_class_in_two_splits_is_no_contradiction(tmp_path):
    write_photos(tmp_path / "train", {"a": 2, "b": 2})
    (tmp_path / "test" / "a").mkdir(parents=True)
    shutil.copy(tmp_path / "train" / "a" / "0.jpg", tmp_path / "test" / "a")
    found = checks.check_report(tmp_path, files_by_label(tmp_path))
    assert found["duplicates"] == [["train/a/0.jpg", "test/a/0.jpg"]]
    assert found["contradictions"] == []
    assert found["classes"] == {"train/a": 2, "train/b": 2, "test/a": 1}


def test_files_that_did_not_change_are_not_read_again(root, monkeypatch):
    paths = [path for files in files_by_label(root).values() for path in files]
    first = checks.check_files(root, paths)
    read = []
    examine = checks._check_file
    monkeypatch.setattr(checks, "_check_file", lambda p: read.append(p) or examine(p))
    assert checks.check_files(root, paths) == first
    assert read == []
    image = tf.io.encode_png(np.zeros((5, 7, 3), np.uint8)).numpy()
    (root / "a" / "0.jpg").write_bytes(image)
    again = checks.check_files(root, paths)
    assert read == [root / "a" / "0.jpg"]
    assert (again[read[0]].height, again[read[0]].width) == (5, 7)


def test_relative_and_absolute_names_share_the_cache(root, monkeypatch):
    open_dataset(str(root))
    monkeypatch.chdir(root.parent)
    monkeypatch.setattr(checks, "_check_file", None)
    assert open_dataset(root.name).train.count > 0


def test_an_interrupted_check_resumes(root, monkeypatch):
    paths = sorted(path for files in files_by_label(root).values() for path in files)
    examine, read = checks._check_file, []

    def interrupt(path):
        if path == paths[-1]:
            raise KeyboardInterrupt
        return examine(path)

    with monkeypatch.context() as patched:
        patched.setattr(checks, "_check_file", interrupt)
        with pytest.raises(KeyboardInterrupt):
            checks.check_files(root, paths)
    monkeypatch.setattr(checks, "_check_file", lambda p: read.append(p) or examine(p))
    checks.check_files(root, paths)
    assert read == paths[-1:]


def test_names_that_are_not_utf_8(photos):
    root = photos(a=3, b=3)
    odd = os.fsencode(root / "a" / "0.jpg")
    os.rename(odd, odd.replace(b"0.jpg", b"caf\xe9.jpg"))
    data = open_dataset(str(root))
    assert data.train.count + data.validation.count == 6
    for split in (data.train, data.validation):
        for _, _, reference in split.in_order():
            assert split.load(reference).numpy()


def test_a_damaged_cache_is_replaced(root):
    paths = [root / "a" / "3.jpg"]
    first = checks.check_files(root, paths)
    for content in ("", '{"x": 1}', '{"x": {"y": 1}}'):
        checks._cache_file(root).write_text(content)
        assert checks.check_files(root, paths) == first


def test_broken_files_are_left_out_with_a_warning(root, capsys):
    data = open_dataset(str(root))
    assert data.train.count + data.validation.count == 10
    shown = capsys.readouterr().err
    assert "leaving out 3 of 13 files" in shown
    for name, problem in PROBLEMS.items():
        assert f"{root / name}: {problem}" in shown


def test_a_class_of_broken_files_is_an_empty_one(photos):
    root = photos(a=3, b=1)
    (root / "b" / "0.jpg").write_text("x")
    with pytest.raises(UserError, match="none in b"):
        open_dataset(str(root))


def test_only_the_first_of_many_are_named(capsys):
    checks.log_problems({f"{i}.jpg": "empty" for i in range(12)}, 20)
    shown = capsys.readouterr().err
    assert "leaving out 12 of 20 files (12 empty)" in shown
    assert "and 2 more: see check-data" in shown
    assert "10.jpg" not in shown


def test_the_command_reports_and_moves(root, tmp_path, capsys):
    from googlenet_keras.cli import main

    away = tmp_path / "away"
    main(["check-data", str(root), "--quarantine", str(away)])
    shown = capsys.readouterr().out
    assert "10 images in 13 files" in shown
    assert "b/2.jpg: broken or truncated" in shown
    assert "a/4.jpg = b/liar.jpg" in shown
    report = read_json(tmp_path / "photos.check.json")
    assert report["problems"] == PROBLEMS
    assert all((away / name).is_file() for name in PROBLEMS)
    assert not any((root / name).exists() for name in PROBLEMS)
    with pytest.raises(UserError, match="no such folder"):
        main(["check-data", str(tmp_path / "gone")])


def test_a_quarantine_never_overwrites_nor_becomes_a_class(root, tmp_path):
    from googlenet_keras.cli import main

    with pytest.raises(UserError, match="must be outside the data"):
        main(["check-data", str(root), "--quarantine", str(root / "broken")])
    (tmp_path / "away" / "b").mkdir(parents=True)
    (tmp_path / "away" / "b" / "2.jpg").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"2\.jpg exists"):
        main(["check-data", str(root), "--quarantine", str(tmp_path / "away")])
    assert all((root / name).is_file() for name in PROBLEMS)


@pytest.mark.slow
def test_transparent_and_turned_files_are_whole(photos):
    root = photos(a=1, b=1)
    files = {name: data for name, (data, _) in transparent_files().items()}
    for name, data in (files | turned_files(6)).items():
        (root / "a" / name).write_bytes(data)
    assert checks.check_report(root, files_by_label(root))["problems"] == {}


def test_what_is_not_decoded_is_named_and_counted_by_its_kind(photos, capsys):
    root = photos(a=3, b=3)
    for level in (100, 4000):
        data = png16(np.full((4, 4, 1), level, np.uint16))
        (root / "a" / f"{level}.png").write_bytes(data)
    (root / "a" / "x.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (root / "b" / "x.avif").write_bytes(encoded(scene(), "AVIF"))
    (root / "b" / "x.tif").write_bytes(encoded(scene(), "TIFF"))
    data = open_dataset(str(root))
    assert data.train.count + data.validation.count == 6
    shown = capsys.readouterr().err
    assert (
        "leaving out 5 of 11 files (2 nearly black 16-bit PNG, 1 HEIC, 1 AVIF, 1 TIFF)"
        in shown
    )
    assert f"{root / 'a' / 'x.heic'}: HEIC (convert it to JPEG or PNG)" in shown
    assert "4000.png: nearly black 16-bit PNG (its largest value is 4000 of" in shown


def test_a_file_that_the_disk_refuses_is_named_and_read_again(photos, monkeypatch):
    root = photos(a=2, b=2)
    link = root / "a" / "mem.jpg"
    link.symlink_to("/proc/self/mem")  # a file to all appearances, which no one reads
    read, examine = [], checks._check_file
    monkeypatch.setattr(checks, "_check_file", lambda p: read.append(p) or examine(p))
    for _ in range(2):
        report = checks.check_report(root, files_by_label(root))
        assert report["problems"] == {"a/mem.jpg": "Input/output error"}
    assert read.count(link) == 2
    assert len(read) == 6


@pytest.mark.parametrize("before", ["nothing", "50 kB of XMP", "ICC in two segments"])
def test_jpegs_that_are_to_be_turned_are_known_wherever_their_exif_is(photos, before):
    root = photos(a=3, b=3)
    assert open_dataset(str(root)).train.content == UPRIGHT_JPEG
    path = root / "a" / "0.jpg"
    path.write_bytes(jpeg_with_exif(path.read_bytes(), tiff(6), before))
    assert open_dataset(str(root)).train.content == ENCODED


def test_checks_of_an_older_decoding_are_not_remembered(photos, monkeypatch):
    root = photos(a=3, b=3)
    path = root / "a" / "0.jpg"
    path.write_bytes(jpeg_with_exif(path.read_bytes(), tiff(6), "XMP"))
    monkeypatch.setattr(checks, "DECODING_VERSION", 1)
    monkeypatch.setattr(checks, "is_upright_jpeg", lambda _: True)  # as it was before
    assert open_dataset(str(root)).train.content == UPRIGHT_JPEG
    assert open_dataset(str(root)).train.content == UPRIGHT_JPEG
    monkeypatch.undo()
    assert open_dataset(str(root)).train.content == ENCODED
