import os
import shutil
from unicodedata import normalize

import pytest
from making import write_photos
from PIL import Image

from googlenet_keras.data.folder_source import files_below, files_by_label
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError


def paths(split):
    return [reference.numpy().decode() for _, _, reference in split.in_order()]


def test_a_flat_folder_is_split_class_by_class(photos):
    root = photos(cat=10, dog=5)
    data = open_dataset(str(root))
    assert data.class_names == ("cat", "dog")
    assert data.train.class_counts == (8, 4)
    assert data.validation.class_counts == (2, 1)
    assert data.test is None
    assert set(paths(data.train)).isdisjoint(paths(data.validation))
    assert open_dataset(str(root), validation_fraction=0.5).validation.count == 7


def test_a_folder_of_upright_jpegs_is_known_as_one(photos):
    root = photos(a=3, b=3)
    assert open_dataset(str(root)).train.content == "upright jpeg"
    image = Image.open(root / "a" / "0.jpg")
    image.load()
    exif = Image.Exif()
    exif[0x0112] = 1
    image.save(root / "a" / "0.jpg", exif=exif)
    assert open_dataset(str(root)).train.content == "upright jpeg"
    exif[0x0112] = 6
    image.save(root / "a" / "0.jpg", exif=exif)
    assert open_dataset(str(root)).train.content == "encoded"
    image.save(root / "a" / "0.jpg", "PNG")
    assert open_dataset(str(root)).train.content == "encoded"


def test_the_split_does_not_depend_on_the_place(photos, tmp_path):
    root = photos(cat=10, dog=5)
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    names = [
        [p.removeprefix(str(r)) for p in paths(open_dataset(str(r)).validation)]
        for r in (root, moved)
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "validation", "test"),
        ("train", "val", "testing"),
        ("training", "valid", "test"),
        ("Train", "Val", "TEST"),
        ("TRAINING", "VALID", "Testing"),
        ("train", "dev", "test"),
    ],
)
def test_folders_of_splits_are_used_as_they_are(tmp_path, train, validation, test):
    write_photos(tmp_path / train, {"a": 3, "b": 2})
    write_photos(tmp_path / validation, {"b": 2})
    write_photos(tmp_path / test, {"a": 1, "b": 1})
    data = open_dataset(str(tmp_path))
    assert data.train.count == 5
    assert data.validation.class_counts == (0, 2)
    assert data.split("test").count == 2
    assert all(f"/{validation}/b/" in p for p in paths(data.validation))
    labels = {f"{name}/{x}" for name in (train, test) for x in "ab"}
    assert set(files_by_label(tmp_path)) == labels | {f"{validation}/b"}


@pytest.mark.parametrize(
    "names", [("val", "valid"), ("train", "Training"), ("TEST", "testing")]
)
def test_two_folders_for_one_split_are_refused(tmp_path, names):
    for name in ("train", *names):
        if not (tmp_path / name).exists():
            write_photos(tmp_path / name, {"a": 2, "b": 2})
    message = f"has {' and '.join(sorted(names))}, which both mean"
    for use in (lambda: open_dataset(str(tmp_path)), lambda: files_by_label(tmp_path)):
        with pytest.raises(UserError, match=message):
            use()


def test_a_class_may_be_called_train(photos):
    data = open_dataset(str(photos(bus=2, Train=2)))
    assert data.class_names == ("Train", "bus")
    assert data.train.count + data.validation.count == 4


def test_what_is_in_no_class_folder_is_named(tmp_path, capsys):
    write_photos(tmp_path / "train", {"a": 2, "b": 2})
    write_photos(tmp_path / "unlabeled", {"x": 1})
    image = tmp_path / "train" / "a" / "0.jpg"
    for place in (tmp_path / "train" / "loose.jpg", tmp_path / "root.jpg"):
        shutil.copy(image, place)
    os.mkfifo(tmp_path / "train" / "b" / "pipe.jpg")
    (tmp_path / "train" / "b" / "gone.jpg").symlink_to("nowhere")
    assert open_dataset(str(tmp_path)).class_names == ("a", "b")
    shown = capsys.readouterr().err
    assert "leaving out 5 files or folders" in shown
    for name, why in {
        "train/loose.jpg": "in no class folder",
        "root.jpg": "in no split folder",
        "unlabeled": "in no split folder",
        "train/b/pipe.jpg": "no file, or a link to nothing",
        "train/b/gone.jpg": "no file, or a link to nothing",
    }.items():
        assert f"{tmp_path / name}: {why}\n" in shown
    files_by_label(tmp_path)
    assert capsys.readouterr().err == shown


def test_images_beside_class_folders_are_named(photos, capsys):
    root = photos(a=2, b=2)
    for i in range(12):
        shutil.copy(root / "a" / "0.jpg", root / f"{i:02}.jpg")
    open_dataset(str(root))
    shown = capsys.readouterr().err
    assert "leaving out 12 files or folders" in shown
    assert f"{root / '09.jpg'}: in no class folder" in shown
    assert "10.jpg" not in shown
    assert "and 2 more" in shown


def test_what_tools_leave_is_skipped_in_silence(tmp_path, capsys):
    for split in ("train", "test"):
        write_photos(tmp_path / split, {"a": 2, "b": 2})
        image = tmp_path / split / "a" / "0.jpg"
        for folder in (tmp_path, tmp_path / split, tmp_path / split / "a"):
            for name in ("@eaDir", "__MACOSX", ".git", "lost+found"):
                (folder / name).mkdir(exist_ok=True)
                shutil.copy(image, folder / name / "0.jpg")
            for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "._0.jpg"):
                (folder / name).write_bytes(b"x")
    data = open_dataset(str(tmp_path))
    counts = [data.split(x).count for x in ("train", "validation", "test")]
    assert counts == [2, 2, 4]
    assert sum(map(len, files_by_label(tmp_path).values())) == 8
    assert len(files_below(tmp_path)) == 8
    assert capsys.readouterr().err == ""


def test_links_are_followed_once(tmp_path, capsys):
    root = write_photos(tmp_path / "photos", {"a": 2, "b": 2})
    elsewhere = write_photos(tmp_path / "elsewhere", {"x": 2, "y": 1})
    inside = root / "a" / "inside"
    inside.mkdir()
    shutil.copy(root / "a" / "0.jpg", inside / "own.jpg")
    links = {
        "x": elsewhere / "x",
        "again": elsewhere / "x",
        "itself": root / "a",
        "all": root,
        "one.jpg": elsewhere / "y" / "0.jpg",
        "one_again.jpg": elsewhere / "y" / "0.jpg",
        "0_own.jpg": inside / "own.jpg",
    }
    for name, target in links.items():
        (root / "a" / name).symlink_to(target)
    (elsewhere / "x" / "back").symlink_to(elsewhere)
    (root / "c").symlink_to(elsewhere / "y")
    found = {label: [str(p.relative_to(root)) for p in paths]
             for label, paths in files_by_label(root).items()}  # fmt: skip
    first = ["a/0.jpg", "a/1.jpg"]
    linked = ["a/again/0.jpg", "a/again/1.jpg"]
    assert found["a"] == [*first, *linked, "a/inside/own.jpg", "a/one.jpg"]
    assert found["b"] == ["b/0.jpg", "b/1.jpg"]
    assert found["c"] == ["c/0.jpg"]
    shown = capsys.readouterr().err
    for name in (
        *("x", "itself", "all", "one_again.jpg", "0_own.jpg"),
        *("again/back/x", "again/back/y/0.jpg"),
    ):
        assert f"{root / 'a' / name}: there already, by another way\n" in shown


def test_a_name_composed_otherwise_is_the_same_class(tmp_path):
    composed, decomposed = (normalize(form, "caf\xe9") for form in ("NFC", "NFD"))
    assert composed != decomposed
    write_photos(tmp_path / "train", {decomposed: 3, "tea": 2})
    write_photos(tmp_path / "val", {composed: 2, "tea": 1})
    data = open_dataset(str(tmp_path))
    assert data.class_names == (decomposed, "tea")
    assert data.validation.class_counts == (2, 1)
    assert set(files_by_label(tmp_path)) == {
        f"{split}/{name}" for split in ("train", "val") for name in (composed, "tea")
    }
    write_photos(tmp_path / "train", {composed: 1})
    with pytest.raises(UserError, match=r"has 'caf\\xe9' and 'cafe\\u0301', two sp"):
        open_dataset(str(tmp_path))


def test_a_folder_without_splits_is_evaluated_whole(photos, capsys):
    root = photos(a=10, b=5)
    data = open_dataset(str(root), divide=False)
    for name in ("train", "validation", "test"):
        assert data.split(name).class_counts == (10, 5)
    assert f"{root} has no split folders: all 15 images" in capsys.readouterr().out


def test_a_folder_to_evaluate_needs_one_class_with_one_image(photos):
    root = photos(a=1)
    (root / "empty").mkdir()
    data = open_dataset(str(root), divide=False)
    assert data.class_names == ("a",)
    assert data.split("validation").count == 1
    (root / "a" / "0.jpg").unlink()
    with pytest.raises(UserError, match=r"needs class folders with images; .* none\."):
        open_dataset(str(root), divide=False)


def test_a_folder_to_evaluate_has_the_splits_that_it_has(tmp_path):
    write_photos(tmp_path / "Test", {"a": 2, "b": 1})
    with pytest.raises(UserError, match="has Test but no train"):
        open_dataset(str(tmp_path))
    data = open_dataset(str(tmp_path), divide=False)
    assert data.split("test").class_counts == (2, 1)
    with pytest.raises(UserError, match="must be one of test; received 'validation'"):
        data.split("validation")


def test_a_fingerprint_is_of_what_the_images_contain(photos, tmp_path):
    root = photos(a=4, b=4)
    moved = shutil.copytree(root, tmp_path / "moved", copy_function=shutil.copyfile)
    before, copied = (open_dataset(str(x)) for x in (root, moved))
    assert before.train.fingerprint == copied.train.fingerprint
    assert before.validation.fingerprint == copied.validation.fingerprint
    first, second = (before.train.files[i] for i in (0, 1))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    after = open_dataset(str(root))
    assert before.train.fingerprint != after.train.fingerprint
    assert before.validation.fingerprint == after.validation.fingerprint


def test_train_without_validation_is_split(tmp_path):
    write_photos(tmp_path / "train", {"a": 5, "b": 5})
    data = open_dataset(str(tmp_path))
    assert (data.train.count, data.validation.count) == (8, 2)
    with pytest.raises(UserError, match="one of train, validation; received 'test'"):
        data.split("test")


def test_images_in_deeper_folders_count_and_hidden_files_do_not(photos):
    root = photos(a=2, b=2)
    (root / "a" / "more").mkdir()
    shutil.copy(root / "a" / "0.jpg", root / "a" / "more" / "9.jpg")
    (root / "a" / ".DS_Store").write_bytes(b"x")
    (root / ".cache").mkdir()
    (root / "a" / ".checkpoints").mkdir()
    shutil.copy(root / "a" / "0.jpg", root / "a" / ".checkpoints" / "0.jpg")
    data = open_dataset(str(root))
    assert data.train.count + data.validation.count == 5


def test_bad_folders(photos, tmp_path):
    cases = {
        "no such folder: ./nowhere": "./nowhere",
        r"at least two class folders.*has none\.": str(tmp_path),
    }
    for message, name in cases.items():
        with pytest.raises(UserError, match=message):
            open_dataset(name)
    root = photos(cat=3)
    with pytest.raises(UserError, match=r"has cat\."):
        open_dataset(str(root))
    (root / "dog").mkdir()
    with pytest.raises(UserError, match=r"none in dog\. Add images or remove"):
        open_dataset(str(root))
    shutil.copy(root / "cat" / "0.jpg", root / "dog")
    with pytest.raises(UserError, match=r"at least two images.*dog has 1"):
        open_dataset(str(root))


def test_a_class_that_was_never_trained(tmp_path):
    write_photos(tmp_path / "train", {"a": 2, "b": 2})
    write_photos(tmp_path / "val", {"c": 1})
    with pytest.raises(UserError, match="has a class 'c' that train/ does not"):
        open_dataset(str(tmp_path))


def test_folders_that_look_like_splits_but_are_none(tmp_path):
    write_photos(tmp_path / "a", {"training": 2, "Validation": 2})
    with pytest.raises(UserError, match=r"two class folders .*training has none\."):
        open_dataset(str(tmp_path / "a"))
    write_photos(tmp_path / "c", {"cat": 2, "dog": 2, "Test": 2})
    with pytest.raises(UserError, match="has Test but no train"):
        open_dataset(str(tmp_path / "c"))
    write_photos(tmp_path / "b" / "train", {"x": 3, "y": 3})
    (tmp_path / "b" / "test" / "x").mkdir(parents=True)
    with pytest.raises(UserError, match="test needs class folders with images"):
        open_dataset(str(tmp_path / "b"))


def test_a_check_leaves_no_folder_out(photos):
    root = photos(cat=1, dog=1, Test=1)
    assert set(files_by_label(root)) == {"Test", "cat", "dog"}
