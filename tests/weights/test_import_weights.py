import json
import os

import numpy as np
import pytest
from making_weights import caffe_shapes, caffemodel, onnx_zoo, random_like

from googlenet_keras.classifier import Classifier
from googlenet_keras.cli import main
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.weights.catalog import (
    CAFFE_WEIGHTS,
    PUBLISHED_WEIGHTS,
    PublishedWeights,
)
from googlenet_keras.weights.pretrained import (
    import_weights,
    pretrained_folder,
    read_labels,
)

IMAGENET_LABELS = read_labels(None)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    weights = random_like(caffe_shapes())
    path = tmp_path_factory.mktemp("caffe") / "googlenet.caffemodel"
    return caffemodel(path, weights)


@pytest.mark.slow
def test_the_command(file, tmp_path, capsys):
    folder = tmp_path / "imported"
    main(["import-weights", "caffe", str(file), str(folder)])
    out = capsys.readouterr().out
    assert f"116 tensors of {file} became 116 weights" in out
    assert "the file has no auxiliary heads" in out
    assert f"predict {folder} IMAGE" in out
    made = Classifier.load(folder)
    assert made.labels == IMAGENET_LABELS
    assert made.preprocessing == Preprocessing(224, 224, crop_fraction=0.875)
    assert made.provenance["claimed_by"] == CAFFE_WEIGHTS.claimed_by
    assert json.loads((folder / "classifier.json").read_text())["heads"] == ["main"]


def test_an_existing_folder_stays(file, tmp_path):
    with pytest.raises(UserError, match="nothing is overwritten"):
        main(["import-weights", "caffe", str(file), str(tmp_path)])


def test_a_folder_that_was_forgotten(file):
    with pytest.raises(
        UserError, match=r"caffe \[FILE\] CLASSIFIER; received .*googlenet"
    ):
        main(["import-weights", "caffe", str(file)])
    assert file.is_file()


@pytest.mark.slow
def test_labels_as_imagenets_folders_have_them(file, tmp_path):
    folder = tmp_path / "imported"
    main(["import-weights", "caffe", str(file), str(folder), "--labels", "wordnet"])
    labels = Classifier.load(folder).labels
    assert labels[IMAGENET_LABELS.index("tench")] == "n01440764"
    assert labels[IMAGENET_LABELS.index("zebra")] == "n02391049"
    assert len(set(labels)) == 1000


@pytest.mark.slow
def test_other_classes_need_their_labels(tmp_path):
    weights = random_like(caffe_shapes())
    for ending in ("_w_0", "_b_0"):
        weights["loss3/classifier" + ending] = weights["loss3/classifier" + ending][:3]
    path = caffemodel(tmp_path / "three.caffemodel", weights)
    with pytest.raises(UserError, match="3 classes and 1000 labels"):
        import_weights("caffe", path)
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\nbird\n")
    folder = tmp_path / "three"
    main(["import-weights", "caffe", str(path), str(folder), "--labels", str(labels)])
    assert Classifier.load(folder).labels == ("cat", "dog", "bird")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["cafe", "a.caffemodel", "b"], "Did you mean 'caffe'"),
        (["caffe", "a.caffemodel", "b"], "no such file: a.caffemodel"),
        (["caffe", "here.pth", "b"], r"ends in \.caffemodel; received here\.pth"),
        (["caffe", "a", "b", "c"], r"\[FILE\] CLASSIFIER; received a b c"),
        (["caffe", "none/b"], "no such folder: none"),
        (["caffe", "here.caffemodel", "b", "--variant", "bn"], "must be one of paper"),
        (["caffe", "here.caffemodel", "b", "--labels", "none"], "holds no labels"),
        (["torchvision", "here.pth", "b"], "no valid PyTorch file"),
        (["onnx-zoo", "here.onnx", "b"], "no valid GoogLeNet in ONNX"),
        (["slim", "here.ckpt", "b"], "no valid TensorFlow checkpoint"),
    ],
)
def test_what_cannot_be_imported(tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    for name in ("here.pth", "here.caffemodel", "here.onnx", "here.ckpt"):
        (tmp_path / name).write_text("nothing")
    with pytest.raises(UserError, match=text):
        main(["import-weights", *arguments])
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("source", "name", "most"),
    [
        ("caffe", "a.caffemodel", 2**27),
        ("onnx-zoo", "a.onnx", 2**27),
        ("torchvision", "a.pth", 2**29),
        ("torchvision", "a.safetensors", 2**29),
        ("slim", "a.tar.gz", 2**29),
        ("slim", "a.ckpt", 2**29),
        ("slim", "a.ckpt.index", 2**29),
    ],
)
def test_pipes_and_files_too_large_are_refused_unread(tmp_path, source, name, most):
    path = tmp_path / name
    path.touch()
    os.truncate(path, most + 1)  # sparse: it takes no room
    ways = (lambda: import_weights(source, path), lambda: pretrained_folder(path))
    for way in ways:
        with pytest.raises(UserError, match=f"has {most + 1:,}\\.$"):
            way()
    path.unlink()
    os.mkfifo(path)
    for way in ways:
        with pytest.raises(UserError, match=r"only regular files are opened; .* is a"):
            way()


def test_a_pipe_among_a_checkpoints_files_is_refused(tmp_path):
    (tmp_path / "a.ckpt.index").write_bytes(b"")
    os.mkfifo(tmp_path / "a.ckpt.data-00000-of-00001")
    with pytest.raises(UserError, match=r"only regular files .*data-00000-of-00001"):
        import_weights("slim", tmp_path / "a.ckpt")


def test_a_byte_order_mark_is_no_part_of_the_first_label(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xef\xbb\xbfcat\r\ndog\r\n")
    assert read_labels(path) == ("cat", "dog")


def test_a_pipe_of_labels_is_refused(tmp_path):
    os.mkfifo(tmp_path / "labels.txt")
    with pytest.raises(UserError, match="holds no labels: only regular files"):
        read_labels(tmp_path / "labels.txt")


def with_nan(tensors, name):
    return tensors | {name: np.full_like(tensors[name], np.nan)}


def test_weights_that_are_not_finite_are_named(tmp_path):
    caffe = with_nan(random_like(caffe_shapes()), "conv2/3x3_w_0")
    for source, path in (
        ("caffe", caffemodel(tmp_path / "a.caffemodel", caffe)),
        ("onnx-zoo", onnx_zoo(tmp_path / "a.onnx", caffe)),
    ):
        with pytest.raises(
            UserError, match=r"must be finite .*; conv2/3x3_w_0 are not"
        ):
            import_weights(source, path)


def test_without_a_file_it_is_downloaded(file, monkeypatch):
    asked = []

    def download(source):
        asked.append(source)
        return file

    monkeypatch.setattr(PublishedWeights, "download", download)
    import_weights("caffe")
    assert asked == [CAFFE_WEIGHTS]


def test_the_catalog():
    for name, source in PUBLISHED_WEIGHTS.items():
        assert source.name == name
        assert source.url.endswith(source.suffixes)
        assert len(source.sha256) in (8, 64)
        assert 0.67 < source.top1 < 0.7 < 0.88 < source.top5 < 0.9
    assert len(IMAGENET_LABELS) == len(set(IMAGENET_LABELS)) == 1000


def test_weights_are_assigned_as_they_are(file):
    weights = random_like(caffe_shapes())
    made = import_weights("caffe", file)
    bias = np.asarray(made.network.get_layer("main").bias)
    np.testing.assert_array_equal(bias, weights["loss3/classifier_b_0"])
