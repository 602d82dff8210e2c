import json
from dataclasses import replace

import numpy as np
import pytest
from making import call_main, classifier, two_modules, write_photos
from scipy.special import log_softmax

import export
from googlenet_keras import exports
from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.architecture.variants import PAPER
from googlenet_keras.artifacts.artifact import Artifact
from googlenet_keras.artifacts.deployable import deployable_network
from googlenet_keras.artifacts.runtimes import LiteRT
from googlenet_keras.calibration import Calibration
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.calibration import change_temperature
from googlenet_keras.evaluation.evaluate import evaluate
from googlenet_keras.evaluation.metrics import score_images
from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.exporting.converters import StaticModel, save_static, to_int8
from googlenet_keras.exporting.inspection import inspect_tflite
from googlenet_keras.exporting.job import open_job
from googlenet_keras.exports import export as export_run
from googlenet_keras.training.quantization_aware import (
    FakeQuantize,
    add_fake_quantization,
    divide_logits,
)

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3)).astype("float32")
NORMS = ["pool1_norm1", "conv2_norm2"]
ONE_NORM = replace(  # the paper's network with two of nine modules
    PAPER,
    rows=tuple(
        row
        for row in PAPER.rows
        if row.name in {x.name for x in two_modules("paper").rows} | {NORMS[0]}
    ),
)
VARIANTS = ("bn", "paper", ablate("bn", module="naive", head="dense"))


def test_rounding_follows_the_range_in_training_alone():
    layer = FakeQuantize()
    x = np.linspace(-1, 3, 1001, dtype="float32")
    found = np.asarray(layer(x, training=True))
    assert len(np.unique(found)) == 256
    np.testing.assert_allclose(found, x, atol=4 / 255 / 2 + 1e-6)
    assert (float(layer.low), float(layer.high)) == (-1, 3)
    assert np.max(layer(x * 9)) == pytest.approx(3, abs=0.02)  # cut off, not followed
    layer(x * 2, training=True)
    assert float(layer.high) == pytest.approx(0.99 * 3 + 0.01 * 6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "whole"),
    [
        ("bn", False),
        (ONE_NORM, True),
        *(pytest.param(x, True, marks=pytest.mark.exhaustive) for x in VARIANTS),
    ],
    ids=["bn", "paper", "whole bn", "whole paper", "whole ablated"],
)
def test_the_file_rounds_as_the_network_did(variant, whole, tmp_path):
    made = classifier(variant, whole=whole)
    network = add_fake_quantization(deployable_network(made))
    network(IMAGES, training=True)  # the ranges
    expected = np.asarray(network(IMAGES)["probabilities"])
    save_static(network, tmp_path / "rounded")
    rounded = tmp_path / "rounded"
    data = to_int8(StaticModel(rounded, rounded=rounded))
    (tmp_path / "int8.tflite").write_bytes(data)
    found = LiteRT(tmp_path / "int8.tflite", threads=1)(IMAGES)
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert np.ptp(expected) > 0.1
    norms = [row.name for row in made.architecture.rows if row.name in NORMS]
    contents = inspect_tflite(data, norms, True)
    assert len(contents["not_quantised"]) == 7 * len(norms)


@pytest.mark.slow
def test_logits_are_divided_with_their_range():
    network = add_fake_quantization(deployable_network(classifier("bn")))
    network(IMAGES, training=True)
    before = np.log(np.asarray(network(IMAGES)["probabilities"], "float64"))
    divide_logits(network, 0.5)
    after = np.log(np.asarray(network(IMAGES)["probabilities"], "float64"))
    expected = log_softmax(before / 0.5, axis=1)
    np.testing.assert_allclose(after, expected, atol=1e-3)
    assert np.abs(after - before).max() > 0.1


@pytest.mark.slow
def test_the_files_of_an_export_are_those_of_the_network_that_was_trained_for_int8(
    tmp_path,
):
    """Its calibration is fitted again, and both files have it."""
    made = replace(classifier("bn", classes=2, size=32), labels=("a", "b"))
    before = Calibration(3.0, 0.1, 0.1)
    made.calibrate(before).save(tmp_path / "classifier")
    data = write_photos(tmp_path / "photos", {"a": 20, "b": 20}, (32, 32))
    config = ExportConfig(
        tmp_path / "classifier", ("int8", "phone"), dataset=str(data), qat_epochs=1
    )
    with open_job(config) as job:
        exports._train_for_int8(job)
        for format in job.formats:  # in this process
            format.make(job.source_of(format), job.folder / format.file)
    loaded = [
        Artifact.load(tmp_path / "classifier" / "export" / f"{name}.tflite")
        for name in ("int8", "phone")
    ]
    assert loaded[0].calibration == loaded[1].calibration != before
    dataset = open_dataset(str(data))
    int8, phone = (evaluate(x, dataset).main.loss.mean() for x in loaded)
    assert int8 == pytest.approx(phone, abs=0.05)
    untrained = evaluate(made, dataset).main.loss.mean()
    raw = losses_at(loaded[0], dataset, loaded[0].calibration.temperature)
    assert int8 < raw < untrained  # the temperature is that of the trained network


@pytest.mark.exhaustive
def test_export_trains_for_int8(run_folder, tmp_path):
    copy = tmp_path / "classifier"
    Classifier.load(run_folder).save(copy)
    call_main(
        export.main,
        *("--run-folder", str(copy), "--dataset", "digits"),
        *("--formats", "int8", "phone", "--qat-epochs", "1"),
    )
    report = json.loads((copy / "export" / "report.json").read_text())
    loaded = [
        Artifact.load(copy / "export" / f"{name}.tflite") for name in ("int8", "phone")
    ]
    assert loaded[0].calibration == loaded[1].calibration
    assert loaded[0].calibration != Classifier.load(copy).calibration
    digits = open_dataset("digits")
    losses = [evaluate(x, digits).main.loss.mean() for x in loaded]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)
    raw = losses_at(loaded[0], digits, loaded[0].calibration.temperature)
    assert losses[0] < raw  # the temperature is that of the trained network
    assert report["formats"]["phone"]["passed"]
    row = report["formats"]["int8"]
    assert report["options"]["qat_epochs"] == 1
    assert row["passed"]
    assert row["not_quantised"] == []
    assert row["max_difference"] > 0.01  # it is not the network it began as
    assert row["top1"] > report["keras"]["top1"] - 0.02


def losses_at(exported, dataset, temperature):
    """The mean loss if the logits had not been divided by `temperature`."""
    evaluation = evaluate(exported, dataset)
    logs = change_temperature(evaluation.log_probabilities, 1 / temperature)
    return score_images(logs, evaluation.labels).loss.mean()


@pytest.mark.slow
def test_a_network_that_refuses_is_not_trained_again(tmp_path):
    labels = tuple("0123456789")
    refusing = replace(classifier("bn", classes=10, size=32), labels=labels)
    refusing = refusing.calibrate(Calibration(1.0, 0.1, 0.1, 0.5))
    refusing.save(tmp_path / "classifier")
    with pytest.raises(UserError, match="would unlearn what it refuses"):
        export_run(
            tmp_path / "classifier", dataset="digits", formats=("int8",), qat_epochs=1
        )
