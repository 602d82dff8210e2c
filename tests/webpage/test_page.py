import base64
import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.exporting.converters import Source
from googlenet_keras.exporting.job import ExportJob
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.webpage import page
from googlenet_keras.webpage.builder import WEB_SOURCE_FOLDER


@pytest.fixture
def built(bundle, run_folder, tmp_path):
    """The job of an export whose page npm has built, as far as that matters here."""
    folder = tmp_path / "export"
    (folder / "web" / "litert").mkdir(parents=True)
    (folder / "web" / "assets").mkdir()
    files = {
        "index.html": "page", "sw.js": "code", "assets/index.js": "script",
        "litert/plain.wasm": "w" * 100, "litert/plain.js": "j" * 10,
        "litert/threaded.wasm": "w" * 200, "litert/threaded.js": "j" * 20,
        "litert/version.json": '{"@litertjs/core": "2.5.2"}',
    }  # fmt: skip
    for name, text in files.items():
        (folder / "web" / name).write_text(text)
    shutil.copytree(WEB_SOURCE_FOLDER / "public", folder / "web", dirs_exist_ok=True)
    for name in ("int8.tflite", "float32.tflite"):
        shutil.copy(bundle / name, folder)
    shutil.copytree(bundle / "selftest", folder / "selftest")
    config = ExportConfig(run_folder, formats=("web",), license="CC0-1.0")
    return ExportJob(
        config,
        RunFolder(run_folder),
        Source(run_folder / "classifier", tmp_path),
        folder,
        convert=lambda function, *arguments: function(*arguments),
    )


PASSED = {name: {"passed": True} for name in ("int8", "float32")}


def test_the_page_knows_its_model(built):
    row = page.add_page(built, PASSED)
    assert row["passed"], row["reason"]
    web = built.folder / "web"
    model = json.loads((web / "model.json").read_text())
    assert model["preprocessing"] == {
        "height": 32, "width": 32, "crop_fraction": 1.0,
        "margin_height": 0, "margin_width": 0,
        "least_side": 96.0, "jpeg_ratios": [1, 2, 4, 8],
    }  # fmt: skip
    int8, float32 = (model["files"][name] for name in ("int8", "float32"))
    assert int8["image"] == {"scale": 1.0, "zero": 0}
    assert float32["probabilities"] == {"scale": 0.0, "zero": 0}
    assert "activation_map" not in int8
    assert model["calibration"] == built.images.contents.calibration.to_json()
    assert (model["license"], model["ahead"]) == ("CC0-1.0", True)
    manifest = json.loads((web / "manifest.webmanifest").read_text())
    assert manifest["name"] == model["name"] == "GoogLeNet (bn)"
    assert manifest["description"] == "10 classes, trained on digits."
    assert (web / "labels.txt").read_text().split() == list("0123456789")
    first = row["first_load_megabytes"] * 1e6 - (web / "int8.tflite").stat().st_size
    # one build of the runtime and the page; no float32, no self-test
    assert 220 < first < 60_000
    assert (web / "selftest" / "selftest.json").is_file()


def test_a_page_of_a_network_that_is_not_calibrated(built):
    contents = replace(built.images.contents, calibration=None)
    vars(built)["images"] = replace(built.images, contents=contents)
    assert page.add_page(built, PASSED)["passed"]
    model = json.loads((built.folder / "web" / "model.json").read_text())
    assert model["calibration"] is None


def test_the_service_worker_knows_every_file(built):
    page.add_page(built, PASSED)
    web = built.folder / "web"
    line, code = (web / "sw.js").read_text().split("\n", 1)
    assert code == "code"
    listed = json.loads(line.removeprefix("self.FOLDER = ").removesuffix(";"))
    paths = {p.relative_to(web).as_posix() for p in web.rglob("*") if p.is_file()}
    assert set(listed["files"]) == paths - {"sw.js"}
    digest = base64.b64encode(hashlib.sha256(b"page").digest()).decode()
    assert listed["files"]["index.html"] == f"sha256-{digest}"
    assert set(listed["first"]) == {
        "index.html", "assets/index.js", "labels.txt", "model.json",
        "manifest.webmanifest", "icon-192.png", "icon-512.png", "old.js",
    }  # fmt: skip


def test_a_large_float32_file_waits_until_it_is_asked_for(built, monkeypatch):
    int8 = built.folder / "int8.tflite"
    monkeypatch.setattr(page, "MAX_FIRST_LOAD_BYTES", int8.stat().st_size * 1.5)
    page.add_page(built, PASSED)
    assert not json.loads((built.folder / "web" / "model.json").read_text())["ahead"]


def test_there_is_no_page_without_both_files(built):
    row = page.add_page(built, PASSED | {"int8": {"passed": False}})
    assert row == {"file": "web", "passed": False,
                   "reason": "it needs int8, which did not pass"}  # fmt: skip
    assert not (built.folder / "web").exists()


def test_maps_that_change_the_answers_are_refused(built):
    config = replace(built.config, activation_map=True)
    job = replace(built, config=config, convert=lambda *_: 7.0)
    row = page.add_page(job, PASSED)
    assert row["reason"] == (
        "with activation maps the probabilities of int8 move by up to 7.0 / 256, "
        "allowed 2"
    )


@pytest.mark.parametrize("size", [192, 512])
def test_icons_are_squares_colored_to_the_edge(size):
    png = (WEB_SOURCE_FOLDER / "public" / f"icon-{size}.png").read_bytes()
    image = tf.io.decode_png(png, channels=4).numpy()
    assert image.shape == (size, size, 4)
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert np.ptp(edge, axis=0).max() == 0
    assert edge[0, 3] == 255
    assert (image[..., :3] == 255).all(-1).mean() > 0.03
