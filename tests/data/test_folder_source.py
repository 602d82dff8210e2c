import shutil

import pytest
from making import write_photos
from PIL import Image

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


@pytest.mark.parametrize("name", ["validation", "val", "valid"])
def test_folders_of_splits_are_used_as_they_are(tmp_path, name):
    write_photos(tmp_path / "train", {"a": 3, "b": 2})
    write_photos(tmp_path / name, {"b": 2})
    write_photos(tmp_path / "test", {"a": 1, "b": 1})
    data = open_dataset(str(tmp_path))
    assert data.train.count == 5
    assert data.validation.class_counts == (0, 2)
    assert data.split("test").count == 2
    assert all(f"/{name}/b/" in p for p in paths(data.validation))


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
    with pytest.raises(UserError, match="has Validation, training but no train"):
        open_dataset(str(tmp_path / "a"))
    write_photos(tmp_path / "b" / "train", {"x": 3, "y": 3})
    (tmp_path / "b" / "test" / "x").mkdir(parents=True)
    with pytest.raises(UserError, match="test needs class folders with images"):
        open_dataset(str(tmp_path / "b"))
