import json
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from making import call_main, write_photos
from making import classifier as made_classifier
from PIL import Image
from sklearn.datasets import load_digits

import export as script
from googlenet_keras.artifacts.artifact import open_classifier
from googlenet_keras.artifacts.runtimes import open_runtime
from googlenet_keras.classifier import Classifier
from googlenet_keras.cli import main
from googlenet_keras.errors import UserError
from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.exporting.formats import FORMATS, default_formats
from googlenet_keras.exporting.job import open_job
from googlenet_keras.exporting.selftest import _select_images as select_images
from googlenet_keras.exports import export, to_config
from googlenet_keras.predictor import predict
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.runs import Run


def test_a_run_and_its_folder_can_be_exported(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    expected = ExportConfig(run_folder=tmp_path, formats=("int8",))
    for run in (str(tmp_path), tmp_path, RunFolder(tmp_path), Run(tmp_path)):
        assert to_config(run, formats=("int8",)) == expected


def test_options_replace_those_of_a_config():
    config = ExportConfig(run_folder=Path("runs/a"), qat_epochs=2)
    assert to_config(config, qat_epochs=3).qat_epochs == 3
    assert to_config(config, qat_epochs=3).run_folder == Path("runs/a")
    assert to_config(None) == ExportConfig()


def test_a_wrong_value_is_refused_before_any_work(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'float32'"):
        export(tmp_path, formats=["float23"])
    with pytest.raises(UserError, match=r"such as \('int8',\)"):
        export(tmp_path, formats="int8")
    with pytest.raises(UserError, match="is not a folder"):
        export(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_every_format_is_made_and_passes(bundle):
    report = json.loads((bundle / "report.json").read_text())
    assert set(report["formats"]) == {f.name for f in default_formats()}
    assert all(row["passed"] for row in report["formats"].values())
    names = {path.name for path in bundle.iterdir()}
    assert names == {f.file for f in default_formats()} | {
        "labels.txt", "report.json", "formats.png", "export.log", "selftest",
    }  # fmt: skip
    assert (bundle / "labels.txt").read_text().split() == list("0123456789")
    assert report["missing"] == []
    assert report["provenance"]["trained_on"] == "digits"


def test_the_report_has_the_figures_of_each_format(bundle):
    report = json.loads((bundle / "report.json").read_text())
    keras, rows = report["keras"], report["formats"]
    assert keras["images"] == 300
    sizes = {name: row["megabytes"] for name, row in rows.items()}
    assert sizes["int8"] < 0.35 * sizes["float32"]
    assert sizes["float16"] < 0.6 * sizes["float32"]
    assert sizes["saved_model"] < 1 + sizes["float32"]
    for name in ("float32", "onnx", "saved_model"):
        assert rows[name]["max_difference"] < 1e-4
        assert rows[name]["top1"] == keras["top1"]
    assert rows["int8"]["not_quantised"] == []
    assert rows["int8"]["operators"]["CONV_2D"] == 1 + 2 * 6
    assert rows["float32"]["ratio_to_float32"] == {"megabytes": 1, "milliseconds": 1}
    assert all(row["ratio_to_float32"]["milliseconds"] > 0 for row in rows.values())
    assert {n: row.get("min_tflite_version") for n, row in rows.items()} == {
        "saved_model": None, "float32": "1.6.0", "float16": "1.15.0",
        "dynamic": "2.17.0", "int8": "1.14.0", "phone": "1.14.0",
        "int16x8": "2.4.0", "onnx": None,
    }  # fmt: skip
    assert rows["int8"]["min_runtime"] == "TensorFlow Lite 1.14.0"
    assert rows["onnx"]["min_runtime"] == "ONNX Runtime 1.12"
    assert rows["saved_model"]["min_runtime"] == f"TensorFlow {tf.__version__}"
    for name in ("int8", "phone", "dynamic", "int16x8"):
        assert rows[name]["top1_loss"]["limit_points"] == 0.5
        assert 0 < rows[name]["top1_loss"]["confidence"] <= 1
    assert "top1_loss" not in rows["float32"]
    assert rows["int16x8"]["gpu_refuses"]
    for row in rows.values():
        assert row["self_test"]["cannot_show"] == []
        assert 0.02 <= row["self_test"]["tolerance"] < 0.2
    assert report["options"]["dataset"] == "digits"
    assert report["environment"]["packages"]["ai-edge-litert"]


@pytest.mark.parametrize(
    "name", [n for n, f in FORMATS.items() if f.file.endswith(".tflite")]
)
def test_a_tflite_files_tensors_are_named(bundle, name):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(bundle / FORMATS[name].file))
    assert [x["name"] for x in interpreter.get_input_details()] == ["image"]
    assert [x["name"] for x in interpreter.get_output_details()] == ["probabilities"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["float32.tflite", "int8.tflite", "phone.tflite",
                                  "model.onnx", "saved_model"])  # fmt: skip
def test_an_exported_file_predicts_like_the_run(bundle, tmp_path, name):
    for number in range(6):  # what the network knows: its answers are no noise
        pixels = np.uint8(load_digits().images[number] * 255 / 16)
        image = Image.fromarray(pixels).resize((70, 50), Image.Resampling.BICUBIC)
        image.save(tmp_path / f"{number}.png")
    run = list(predict(Classifier.load(bundle.parent), [tmp_path], top=10))
    found = list(predict(open_classifier(bundle / name), [tmp_path]))
    assert len(found) == 6
    # a probability near a half moves by a quarter of what int8 does to the logit
    tolerance = 0.07 if name in ("int8.tflite", "phone.tflite") else 1e-4
    for mine, theirs in zip(found, run, strict=True):
        assert mine.path == theirs.path
        expected = dict(theirs.top)
        for label, probability in mine.top:
            assert probability == pytest.approx(expected[label], abs=tolerance)


def test_an_exported_file_is_evaluated_on_the_runs_data(bundle, tmp_path):
    main(["evaluate", str(bundle / "int8.tflite"), "--json", str(tmp_path / "f.json")])
    figures = json.loads((tmp_path / "f.json").read_text())["crops"]["1"]
    row = json.loads((bundle / "report.json").read_text())["formats"]["int8"]
    assert figures["images"] == row["images"]
    assert figures["main"]["top1"] == pytest.approx(row["top1"])
    result = json.loads((bundle.parent / "result.json").read_text())["validation"]
    assert figures["main"]["loss"] == pytest.approx(result["main"]["loss"], abs=0.1)


@pytest.fixture(scope="module")
def saved_model(bundle):
    return tf.saved_model.load(str(bundle / "saved_model"))


@pytest.mark.slow
def test_the_saved_model_answers_photographs_of_any_kind(bundle, saved_model, tmp_path):
    serve = saved_model.signatures["serve_bytes"]
    image = np.random.default_rng(0).integers(0, 256, (60, 44, 3), np.uint8)
    encoded = [tf.io.encode_png(image), tf.io.encode_jpeg(image[:40])]
    answers = serve(image_bytes=tf.stack(encoded))
    paths = []
    for number, data in enumerate(encoded):
        paths.append(tmp_path / f"{number}.img")
        paths[-1].write_bytes(data.numpy())
    for number, expected in enumerate(predict(Classifier.load(bundle.parent), paths)):
        labels = [x.decode() for x in answers["top_labels"][number].numpy()]
        assert labels == [label for label, _ in expected.top]
        np.testing.assert_allclose(
            answers["top_scores"][number], [p for _, p in expected.top], atol=1e-4
        )


HALF_A_JPEG = tf.io.encode_jpeg(np.zeros((64, 64, 3), np.uint8)).numpy()[:-90]


@pytest.mark.slow
@pytest.mark.parametrize(("broken", "message"), [
    (b"text", r"JPEG, PNG, GIF, BMP or WebP files; not so number.*1"),
    (b"", r"not so number.*1"),
    (HALF_A_JPEG, "Invalid JPEG data"),
])  # fmt: skip
def test_a_broken_photo_in_a_batch_is_an_error(saved_model, broken, message):
    good = tf.io.encode_png(np.zeros((40, 40, 3), np.uint8)).numpy()
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        saved_model.signatures["serve_bytes"](image_bytes=tf.constant([good, broken]))


def test_the_saved_model_says_what_it_takes_and_gives(saved_model):
    signatures = saved_model.signatures
    assert set(signatures) == {"serve", "serve_bytes", "serving_default"}
    serve = signatures["serving_default"]
    (image,) = serve.structured_input_signature[1].values()
    assert (image.name, image.shape.as_list()) == ("image", [None, 32, 32, 3])
    assert list(serve.structured_outputs) == ["probabilities"]


@pytest.fixture(scope="module")
def partly_failed(tmp_path_factory):
    """An export of two formats, one of which fails, from a classifier without a run."""
    folder = tmp_path_factory.mktemp("exported") / "classifier"
    made = made_classifier("bn", size=32)
    made.save(folder)
    data = write_photos(folder.parent / "photos", dict.fromkeys(made.labels, 4))
    strict = replace(FORMATS["dynamic"], max_difference=1e-9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FORMATS, "dynamic", strict)
        with pytest.raises(SystemExit) as ended:
            call_main(
                script.main,
                *("--run-folder", str(folder), "--dataset", str(data)),
                *("--formats", "dynamic", "onnx", "--onnx-layout", "nchw"),
            )
    assert ended.value.code == 1
    return folder / "export"


@pytest.mark.slow
def test_channels_first(partly_failed):
    found = open_classifier(partly_failed / "model.onnx")
    (image,) = open_runtime(partly_failed / "model.onnx")._session.get_inputs()
    assert (image.name, image.shape) == ("image", ["batch", 3, 32, 32])
    assert found.labels == Classifier.load(partly_failed.parent).labels


def test_a_format_that_fails_is_kept_apart(partly_failed):
    names = {path.name for path in partly_failed.iterdir()}
    assert {"dynamic.tflite.failed", "model.onnx"} <= names
    assert "dynamic.tflite" not in names
    rows = json.loads((partly_failed / "report.json").read_text())["formats"]
    assert list(rows) == ["dynamic", "onnx"]
    assert rows["onnx"]["passed"]
    assert rows["dynamic"]["file"] == "dynamic.tflite.failed"
    assert "probabilities differ" in rows["dynamic"]["reason"]


@pytest.mark.slow
def test_the_self_test_has_the_same_images_and_what_passed(partly_failed, tmp_path):
    folder = partly_failed / "selftest"
    names = sorted(path.name for path in folder.iterdir())
    assert names == [*(f"{number}.png" for number in range(8)), "selftest.json"]
    test = json.loads((folder / "selftest.json").read_text())
    assert list(test["files"]) == ["model.onnx"]
    Classifier.load(partly_failed.parent).save(tmp_path)
    data = str(partly_failed.parent.parent / "photos")
    config = ExportConfig(tmp_path, formats=("float32",), dataset=data)
    with open_job(config) as job:
        here = replace(job, convert=lambda function, *arguments: function(*arguments))
        selected = select_images(here)
    for name, image in zip(names[:-1], selected, strict=True):
        assert np.array_equal(Image.open(folder / name), image)


def test_the_self_test_has_every_file(bundle):
    test = json.loads((bundle / "selftest" / "selftest.json").read_text())
    assert set(test["files"]) == {format.file for format in default_formats()}
    size = sum(path.stat().st_size for path in (bundle / "selftest").iterdir())
    assert size < 100_000


def test_the_classifiers_folder_gets_the_bundle_alone(partly_failed):
    assert sorted(path.name for path in partly_failed.parent.iterdir()) == [
        "classifier.json", "export", "weights.safetensors",
    ]  # fmt: skip


@pytest.mark.slow
def test_an_export_that_fails_or_is_killed_keeps_the_old_bundle(run_folder, tmp_path):
    Classifier.load(run_folder).save(tmp_path)
    names = ["classifier.json", "export", "weights.safetensors"]
    host = socket.gethostname().replace(".", "-")
    for role in ("new", "old"):  # of an export that was killed at its last step
        (tmp_path / f"export.{host}-999999999.{role}.tmp").mkdir()
    old = tmp_path / f"export.{host}-999999999.old.tmp" / "int8.tflite"
    old.write_text("old")
    config = ExportConfig(tmp_path, formats=("float32",), dataset="digits")

    def interrupt():
        with open_job(config) as job:
            assert job.folder.is_dir()
            assert job.source.work.is_dir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert (tmp_path / "export" / "int8.tflite").read_text() == "old"
    with open_job(config) as job:
        (job.folder / "int8.tflite").write_text("new")
        (job.source.work / "static").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert [path.name for path in (tmp_path / "export").iterdir()] == ["int8.tflite"]
    assert (tmp_path / "export" / "int8.tflite").read_text() == "new"


def test_nothing_is_left_of_an_export_that_cannot_be(run_folder):
    with pytest.raises(UserError, match="at least 1 for each of the 10 classes"):
        call_main(
            script.main, *("--run-folder", str(run_folder), "--calibration-images", "9")
        )
    assert not [p.name for p in run_folder.iterdir() if p.name.endswith(".tmp")]


@pytest.mark.slow
def test_formats_with_libraries_of_their_own_pass_the_check(tmp_path):
    for library in ("coremltools", "openvino"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    made = made_classifier("bn", classes=3)
    data = write_photos(tmp_path / "photos", dict.fromkeys(made.labels, 10))
    made.save(tmp_path / "classifier")
    bundle = export(
        tmp_path / "classifier",
        formats=["coreml", "coreml_int8", "openvino"],
        dataset=str(data),
    )
    rows = bundle.report["formats"]
    assert {name: row["reason"] for name, row in rows.items()} == dict.fromkeys(rows)
    assert rows["openvino"]["max_difference"] < 1e-4
    assert rows["coreml"]["agreement"] >= 0.995
    assert rows["coreml_int8"]["megabytes"] < 0.8 * rows["coreml"]["megabytes"]
    assert {name: row["min_runtime"] for name, row in rows.items()} == {
        "coreml": "iOS 16, macOS 13",
        "coreml_int8": "iOS 16, macOS 13",
        "openvino": "OpenVINO 2022.1",
    }
    assert "milliseconds" not in rows["coreml"]  # it is interpreted
    assert rows["openvino"]["milliseconds"]["1"]["median"] > 0
    for name in ("coreml.mlpackage", "openvino"):
        assert open_classifier(bundle.folder / name).labels == made.labels
    assert (bundle.folder / "formats.png").stat().st_size > 0
