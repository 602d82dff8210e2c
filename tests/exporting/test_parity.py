import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from dying import die
from making import classifier, refusing_classifier, write_photos

from googlenet_keras.artifacts.artifact import LABELS_FILE, Artifact, Contents
from googlenet_keras.artifacts.deployable import deployable_network
from googlenet_keras.artifacts.mediapipe_metadata import ModelCard, add_metadata
from googlenet_keras.classifier import DESCRIPTION_FILE
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.exporting import measuring, parity
from googlenet_keras.exporting.converters import StaticModel, save_static, to_float32
from googlenet_keras.exporting.formats import FORMATS
from googlenet_keras.exporting.measuring import Images, time_ratios
from googlenet_keras.machine import cores

FLOAT32 = FORMATS["float32"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return classifier("bn", classes=3)


@pytest.fixture(scope="module")
def reference(made, tmp_path_factory):
    """Images and the network's probabilities for them."""
    counts = dict.fromkeys(made.labels, 5)
    root = tmp_path_factory.mktemp("data")
    split = open_dataset(str(write_photos(root / "d", counts))).validation
    unlabeled = Images(split, np.zeros(split.count, int), Contents.of(made))
    answers = made.probabilities(np.concatenate(list(unlabeled.batches("test"))))
    return replace(unlabeled, labels=answers.argmax(1)), answers


@pytest.fixture(scope="module")
def artifact(made, tmp_path_factory):
    return write_float32(made, made, tmp_path_factory.mktemp("artifact"))


def write_float32(network, contents, folder):
    """float32.tflite with the network of one classifier and the contents of another."""
    save_static(deployable_network(network), folder / "static")
    data = to_float32(StaticModel(folder / "static"))
    data = add_metadata(data, ModelCard.of(contents, "CC0-1.0"), None)
    path = folder / "float32.tflite"
    path.write_bytes(Contents.of(contents).add_to_tflite(data))
    return path


def compare(path, reference):
    return parity.compare(path, FLOAT32, *reference, path.with_suffix(".log"))


def repacked(artifact, path, name, change):
    """A copy whose packed file `name` is changed."""
    with zipfile.ZipFile(artifact) as archive:
        texts = {n: archive.read(n) for n in archive.namelist()}
        start = min(info.header_offset for info in archive.infolist())
    path.write_bytes(artifact.read_bytes()[:start])
    with zipfile.ZipFile(path, "a") as archive:
        for n, text in texts.items():
            archive.writestr(n, change(text) if n == name else text)
    return path


@pytest.mark.slow
def test_a_good_file_passes(artifact, reference):
    row = compare(artifact, reference)
    assert row["passed"], row["reason"]
    assert row["images"] == 3
    assert row["agreement"] == row["top1"] == 1.0
    assert 0 < row["max_difference"] < 1e-4
    assert row["xnnpack_partitions"] == 1
    assert row["milliseconds"]["1"]["median"] > 0
    assert 20 < row["peak_megabytes"] < 300  # TensorFlow alone would be more


@pytest.mark.slow
def test_a_file_of_a_network_that_refuses_has_its_probabilities(tmp_path):
    made = refusing_classifier("bn")
    found = Artifact.load(write_float32(made, made, tmp_path))
    assert found.none_output
    images = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3)).astype("float32")
    expected = made.log_probabilities(images)["main"]
    assert (np.exp(expected).sum(1) < 0.995).all()
    logs = found.log_probabilities(images)["main"]
    np.testing.assert_allclose(logs, expected, atol=1e-3)


@pytest.mark.slow
def test_a_busy_machine_does_not_change_a_ratio(artifact, tmp_path):
    copy = shutil.copy(artifact, tmp_path / "copy.tflite")
    burn = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(burn) for _ in range(2 * cores())]
    try:
        paths = {"float32": artifact, "copy": copy}
        found = time_ratios(artifact, paths, tmp_path / "log")
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert found == {"float32": 1.0, "copy": pytest.approx(1, abs=0.05)}


@pytest.mark.slow
def test_a_truncated_file_is_caught(artifact, reference, tmp_path):
    path = tmp_path / "float32.tflite"
    path.write_bytes(artifact.read_bytes()[: artifact.stat().st_size // 2])
    with pytest.raises(UserError, match="cannot be read"):
        compare(path, reference)


@pytest.mark.slow
def test_damaged_weights_are_caught(artifact, made, reference, tmp_path):
    data = bytearray(artifact.read_bytes())
    kernel = np.asarray(made.network.get_layer("main").kernel)[:, 0]
    start = data.index(np.float32(kernel[:8]).tobytes())
    data[start : start + 32] = np.full(8, 5, np.float32).tobytes()
    path = tmp_path / "float32.tflite"
    path.write_bytes(data)
    row = compare(path, reference)
    assert not row["passed"]
    assert "probabilities differ by up to" in row["reason"]


@pytest.mark.slow
def test_swapped_labels_are_caught(artifact, reference, tmp_path):
    def swap(text):
        first, second, *rest = text.splitlines()
        return b"\n".join([second, first, *rest]) + b"\n"

    path = repacked(artifact, tmp_path / "float32.tflite", LABELS_FILE, swap)
    with pytest.raises(UserError, match="labels are not the classifier's"):
        compare(path, reference)


@pytest.mark.slow
def test_another_crop_is_caught(artifact, reference, tmp_path):
    path = repacked(
        artifact,
        tmp_path / "float32.tflite",
        DESCRIPTION_FILE,
        lambda text: text.replace(b"0.875", b"0.5"),
    )
    with pytest.raises(UserError, match="preprocessing is not the classifier's"):
        compare(path, reference)


@pytest.mark.slow
def test_shifted_pixels_are_caught(made, reference, tmp_path):
    arch = replace(made.architecture, pixel_mean=(120.0, 127.5, 127.5))
    shifted = replace(made, architecture=arch)
    row = compare(write_float32(shifted, made, tmp_path), reference)
    assert not row["passed"]
    assert row["max_difference"] > 1e-3


def test_a_file_that_is_no_tflite_file_is_caught(reference, tmp_path):
    path = tmp_path / "int8.tflite"
    path.write_bytes(b"no model")
    with pytest.raises(UserError, match="cannot be run: it is no TFLite file"):
        reference[0].measure(path, "int8", tmp_path / "log")


@pytest.mark.parametrize(("kind", "figures", "reason"), [
    ("float32", {"max_difference": 2e-4}, "differ by up to 0.0002, allowed 0.0001"),
    ("float32", {"max_difference": float("nan")}, "differ by up to nan"),
    ("onnx", {"agreement": 0.999}, "agrees on 0.9990 of the images, needed 1"),
    ("float16", {"agreement": 0.99}, "agrees on 0.9900 of the images, needed 0.995"),
    ("int8", {"top1": 0.894}, "top-1 drops by 0.0060, allowed 0.0050"),
    ("int8", {"top1": 0.896}, None),
    ("int8", {"top1": 0.87, "images": 100}, None),
    ("int8", {"top1": 0.86, "images": 100}, "top-1 drops by 0.0400, allowed 0.0300"),
])  # fmt: skip
def test_the_limits(kind, figures, reason):
    good = {"max_difference": 1e-5, "agreement": 1.0, "top1": 0.9, "images": 1000}
    found = parity.failures(FORMATS[kind], good | figures, top1=0.9)
    assert found == [] if reason is None else reason in found[0]


def test_the_loss_of_top1_has_a_confidence():
    network = np.ones(341, bool)
    file = network.copy()
    file[0] = False
    found = parity.top1_loss(network, file, 0.005)
    assert found["points"] == pytest.approx(100 / 341, abs=0.001)
    assert found["limit_points"] == 0.5
    assert 0.6 < found["confidence"] < 0.8
    assert found["images_for_95_percent"] > 341
    file[:9] = False
    assert parity.top1_loss(network, file, 0.005)["images_for_95_percent"] is None


@pytest.mark.slow
def test_a_process_that_dies_is_named(reference, tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "_time", die)
    with pytest.raises(UserError, match="its process died; see log"):
        reference[0].measure(tmp_path / "x.tflite", "x", tmp_path / "log")


def test_serve_bytes_must_give_its_own_labels(made):
    answers, right = np.eye(3, dtype="float32"), list(made.labels)

    def check(*photos):
        saved_model = FORMATS["saved_model"]
        return parity.photo_failures(saved_model, photos, answers, made.labels)

    assert check(answers, right) == []
    swapped = [right[1], right[0], right[2]]
    assert "labels that are not" in check(answers, swapped)[0]
    assert "differs by up to" in check(answers + 0.1, right)[0]
