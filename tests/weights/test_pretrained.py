from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from making import call_main, write_photos
from making_weights import caffe_shapes, caffemodel, random_like

from googlenet_keras.classifier import Classifier
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json
from googlenet_keras.weights import pretrained
from googlenet_keras.weights.catalog import PublishedWeights
from googlenet_keras.weights.pretrained import pretrained_folder


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("caffe") / "googlenet.caffemodel"
    return caffemodel(path, random_like(caffe_shapes()))


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_folder_is_itself(tmp_path):
    assert pretrained_folder(str(tmp_path)) == tmp_path


@pytest.mark.slow
def test_a_file_is_imported_once(file, capsys):
    folder = pretrained_folder(file, preferred_variant="bn")
    assert Classifier.load(folder).architecture.name == "paper"  # all that it can be
    assert "became 116 weights" in capsys.readouterr().out
    assert pretrained_folder(str(file), variant="paper") == folder
    assert capsys.readouterr().out == ""
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.slow
def test_two_at_the_same_time(file):
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(pretrained_folder, [file] * 2))
    assert found[0] == found[1]
    assert Classifier.load(found[0]).labels[0] == "tench"


@pytest.mark.parametrize("name", ["inception_v1.ckpt", "inception_v1.ckpt.index"])
def test_a_checkpoint_is_slims(name):
    with pytest.raises(UserError, match="the variant of slim weights must be one of"):
        pretrained_folder(name, variant="paper")


@pytest.mark.slow
def test_a_name_is_downloaded(file, monkeypatch):
    monkeypatch.setattr(PublishedWeights, "download", lambda published: file)
    monkeypatch.setattr(PublishedWeights, "matches", lambda published, path: True)
    assert Classifier.from_pretrained("caffe").provenance["weights_from"] == "caffe"


def test_a_preferred_variant_is_what_the_source_can_be(file, monkeypatch):
    asked = []

    def refuse(source, file, *, variant, labels):
        asked.append(variant)
        raise UserError("that is enough")

    monkeypatch.setattr(PublishedWeights, "download", lambda published: file)
    monkeypatch.setattr(pretrained, "import_weights", refuse)
    for options in ({"preferred_variant": "bn"}, {}, {"variant": "bn"}):
        with pytest.raises(UserError, match="that is enough"):
            pretrained_folder("torchvision", **options)
    assert asked == ["bn", "torchvision", "bn"]


def test_a_variant_that_the_source_cannot_be_is_refused_before_a_download(monkeypatch):
    monkeypatch.setattr(PublishedWeights, "download", lambda published: 1 / 0)
    for options in ({"preferred_variant": "paper"}, {"variant": "paper"}):
        with pytest.raises(UserError, match="one of torchvision, bn; received 'paper'"):
            pretrained_folder("torchvision", **options)


@pytest.mark.slow
def test_labels(file, tmp_path):
    names = tuple(f"class {i}" for i in range(1000))
    (tmp_path / "labels.txt").write_text("\n".join(names))
    assert Classifier.from_pretrained(file, labels=names).labels == names
    path = tmp_path / "labels.txt"
    assert Classifier.from_pretrained(str(file), labels=path).labels == names
    assert Classifier.from_pretrained(file, labels="wordnet").labels[0] == "n01440764"
    folder = pretrained_folder(file)
    assert Classifier.from_pretrained(folder).labels[0] == "tench"
    assert Classifier.from_pretrained(folder, labels=names).labels == names
    names = ("crane", "tench", "crane", *names[3:])  # as in torchvision's list
    found = Classifier.from_pretrained(file, labels=names).labels
    assert found[:4] == ("crane (1)", "tench", "crane (3)", names[3])
    with pytest.raises(UserError, match="1000 classes and 1 labels"):
        Classifier.from_pretrained(folder, labels=["one"])


@pytest.mark.parametrize(
    ("source", "options", "text"),
    [
        ("torchvisio", {}, "Did you mean 'torchvision'"),
        ("nowhere.caffemodel", {}, r"no such file: nowhere\.caffemodel\."),
        ("FILE", {"variant": "slim"}, "must be one of paper; received 'slim'"),
        ("caffe", {"variant": "bn"}, "must be one of paper; received 'bn'"),
    ],
)
def test_what_cannot_be_loaded(file, source, options, text):
    with pytest.raises(UserError, match=text):
        Classifier.from_pretrained(source.replace("FILE", str(file)), **options)


@pytest.mark.slow
def test_a_run_and_what_was_exported_from_it(run_folder, tmp_path):
    run = SimpleNamespace(folder=run_folder)  # what train() returns has it
    labels = Classifier.load(run_folder).labels
    assert Classifier.from_pretrained(run).labels == labels
    assert Classifier.from_pretrained(run_folder, variant="bn").labels == labels
    with pytest.raises(UserError, match=r"has 'bn', and the variant 'paper'"):
        Classifier.from_pretrained(run, variant="paper")
    copy = tmp_path / "run"
    (copy / "export" / "saved_model").mkdir(parents=True)
    (copy / "config.json").write_text("{}")
    (copy / "export" / "saved_model" / "saved_model.pb").touch()
    for name in ("saved_model", "int8.tflite", "model.onnx"):
        with pytest.raises(UserError, match=rf"has no weights.*{name}. Give {copy}\."):
            Classifier.from_pretrained(copy / "export" / name)
    with pytest.raises(UserError, match="Give the run that it was exported from"):
        Classifier.from_pretrained("int8.tflite")


@pytest.mark.exhaustive
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
    assert f"weights of {file}: copied the trunk; 1 of 2 classes are known" in out
    assert Classifier.load(run).heads == ("main", "aux1", "aux2")
    assert read_json(run / "config.json")["trunk_learning_rate"] == 0.3
    capsys.readouterr()
    call_main(train.main, *options, "--resume")  # all is done: nothing is read again
    assert "network of epoch 1 of 1" in capsys.readouterr().out
