from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from making import call_main, write_photos
from making_weights import caffe_shapes, caffemodel, random_like

from googlenet_keras.classifier import Classifier
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json
from googlenet_keras.weights import importing, pretrained
from googlenet_keras.weights.pretrained import classifier_folder


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("caffe") / "googlenet.caffemodel"
    return caffemodel(path, random_like(caffe_shapes()))


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_folder_is_itself(tmp_path):
    assert classifier_folder(str(tmp_path), "bn") == tmp_path


def test_a_file_is_imported_once(file, capsys):
    folder = classifier_folder(str(file), "bn")
    assert Classifier.load(folder).architecture.name == "paper"  # all that it can be
    assert "became 116 weights" in capsys.readouterr().out
    assert classifier_folder(str(file), "paper") == folder
    assert capsys.readouterr().out == ""
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_two_at_the_same_time(file):
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(classifier_folder, [str(file)] * 2, ["bn"] * 2))
    assert found[0] == found[1]
    assert Classifier.load(found[0]).labels[0] == "tench"


@pytest.mark.parametrize("name", ["inception_v1.ckpt", "inception_v1.ckpt.index"])
def test_a_checkpoint_is_slims(name):
    assert pretrained._source_of(Path(name)) == "slim"


def test_a_name_is_fetched(file, monkeypatch):
    monkeypatch.setattr(pretrained, "fetched", lambda source: file)
    monkeypatch.setattr(importing, "is_published", lambda path, source: True)
    assert (classifier_folder("caffe", "bn") / "classifier.json").is_file()


@pytest.mark.parametrize(
    ("name", "variant", "text"),
    [
        ("torchvisio", "bn", "Did you mean 'torchvision'"),
        ("nowhere.caffemodel", "bn", "nowhere.caffemodel cannot be read"),
        ("FILE", "slim", "must be one of paper; received 'slim'"),
    ],
)
def test_what_is_nothing_to_start_from(file, name, variant, text):
    with pytest.raises(UserError, match=text):
        classifier_folder(name.replace("FILE", str(file)), variant)


def test_train_from_a_file(file, tmp_path, capsys):
    import train

    photos = write_photos(tmp_path / "photos", {"tench": 10, "new": 10})
    run = tmp_path / "run"
    options = ["--recipe", "finetune", "--weights", str(file), "--dataset", str(photos)]
    options += [
        "--image-size",
        "64",
        "--epochs",
        "1",
        "--batch-size",
        "8",
        "--run-folder",
        str(run),
    ]
    call_main(train.main, *options)
    out = capsys.readouterr().out
    assert f"weights of {file}: the trunk taken over; 1 of 2 classes are known" in out
    assert Classifier.load(run).heads == ("main", "aux1", "aux2")
    assert read_json(run / "config.json")["trunk_learning_rate"] == 0.3
    capsys.readouterr()
    call_main(train.main, *options, "--resume")  # all is done: nothing is read again
    assert "best epoch 1 of 1" in capsys.readouterr().out
