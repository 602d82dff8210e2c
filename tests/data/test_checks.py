import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from making import write_photos

from googlenet_keras.data import checks
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
