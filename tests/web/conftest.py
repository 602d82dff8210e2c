"""The exported page, photos of each kind, and what a browser saw with them."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from making import call_main, one_process
from making_pictures import LONG, encoded, transparent_files, turned_files
from PIL import Image
from sklearn.linear_model import LogisticRegression

import export
from googlenet_keras.artifacts.artifact import Artifact
from googlenet_keras.calibration import Calibration
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.exporting import selftest
from googlenet_keras.models import build
from googlenet_keras.webpage.builder import (
    NODE_REQUIREMENT,
    WEB_SOURCE_FOLDER,
    can_build,
    node_version,
)

DRIVER = Path(__file__).with_name("drive.mjs")


def chromium():
    """Where Chromium is, if it is."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def tools(shared_folder):
    """web/ with what the page is built, checked and driven with."""
    if not (shutil.which("npm") and can_build(node_version())):
        pytest.skip(f"the page's sources need npm and {NODE_REQUIREMENT}")
    installed = shared_folder / "npm"
    with one_process(shared_folder / "npm.lock"):
        if installed.exists():
            return WEB_SOURCE_FOLDER
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--prefer-offline"],
            cwd=WEB_SOURCE_FOLDER,
            capture_output=True,
            text=True,
        )
        if done.returncode and not os.environ.get("CI"):
            pytest.skip(f"npm cannot install what web/ needs: {done.stderr[-300:]}")
        assert done.returncode == 0, done.stderr
        installed.touch()
    return WEB_SOURCE_FOLDER


@pytest.fixture(scope="module")
def exported(tools, run_folder, tmp_path_factory):
    """The folder of a classifier with its page; it crops, and to no square."""
    folder = tmp_path_factory.mktemp("web") / "classifier"
    oblong = Preprocessing(32, 48, 0.8125)
    trained = Classifier.load(run_folder)
    network = build(weights=run_folder, image_size=oblong.size, auxiliary=False)
    fit_last_layer(network, oblong)
    replace(trained, network=network, preprocessing=oblong).save(folder)
    call_main(
        export.main,
        *("--run-folder", str(folder), "--dataset", "digits"),
        *("--formats", "web", "--activation-map", "--license", "CC0-1.0"),
    )
    return folder


def fit_last_layer(network, geometry):
    """Fits the last layer to digits of this geometry, or int8 may fail its check."""
    main, digits = network.get_layer("main"), open_dataset("digits").train
    examples = [(geometry.read(x), int(label)) for _, label, x in digits.in_order()]
    images, labels = zip(*examples, strict=True)
    features = keras.Model(network.input, main.input).predict(np.stack(images))
    fitted = LogisticRegression(C=0.03, max_iter=300).fit(features, labels)
    main.set_weights([fitted.coef_.T, fitted.intercept_])


def scene(seed, size):
    """A picture of large blots, [*size, 3] uint8, as smooth as most of a photo."""
    blots = np.random.default_rng(seed).integers(0, 256, (5, 6, 3))
    return np.uint8(tf.clip_by_value(tf.image.resize(blots, size, "bicubic"), 0, 255))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Files of each kind; JPEGs of 354 pixels and more a side are halved."""
    folder = tmp_path_factory.mktemp("photos")
    turned = Image.Exif()
    turned[0x0112] = 6
    files = {
        "plain.jpg": encoded(scene(0, (150, 190)), "JPEG", quality=92),
        "halved.jpg": encoded(scene(1, (400, 560)), "JPEG", quality=92),
        "eighth.jpg": encoded(scene(2, (1501, 1603)), "JPEG", quality=92),
        "turned.jpg": encoded(scene(3, (421, 300)), "JPEG", quality=92, exif=turned),
        "grey.jpg": encoded(scene(4, (180, 150))[..., 0], "JPEG", quality=92),
        "wide.png": encoded(scene(5, (130, 700)), "PNG"),
        "noise.png": encoded(
            np.random.default_rng(6).integers(0, 256, (211, 97, 3), np.uint8), "PNG"
        ),
        "small.png": encoded(scene(7, (20, 23)), "PNG"),
    }
    for turn in range(2, 9):
        made = turned_files(turn, *(("MM", LONG) if turn % 2 else ()))
        files |= {f"{turn} {name}": data for name, data in made.items()}
    files |= {name: data for name, (data, _) in transparent_files().items()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder, list(files)


@pytest.fixture(scope="module")
def flicker(exported):
    """A video of one picture and, in a tenth of its frames, of one with another label.

    Frames at random: a camera read at an even rate would miss every second or third.
    """
    scenes = [scene(seed, (240, 320)) for seed in range(8, 48)]
    told = Artifact.load(exported / "export" / "int8.tflite").predict(scenes, top=1)
    sure = sorted(range(len(scenes)), key=lambda i: -told[i].top[0][1])
    usual = sure[0]
    odd = next(i for i in sure if told[i].top[0][0] != told[usual].top[0][0])
    usual, odd = (encoded(scenes[i], "JPEG", quality=92) for i in (usual, odd))
    is_odd = np.random.default_rng(0).random(300) < 0.1
    return b"".join(odd if x else usual for x in is_odd)


def probabilities(folder, paths):
    """What float32 and int8 say of the files, sorted, [format, image, class]."""
    files = (folder / "export" / f"{name}.tflite" for name in ("float32", "int8"))
    found = [Artifact.load(file).predict(paths, top=10) for file in files]
    return np.array([[[p for _, p in x.top] for x in one] for one in found])


@pytest.fixture(scope="module")
def calibrated(exported, photos):
    """A photo with a calibration for each kind of answer; the last one is refused.

    The photo is the one of whose answers the set's least probability is farthest.
    """
    folder, names = photos
    paths = [folder / name for name in names if name.endswith(".png")]
    values = probabilities(exported, paths)

    def with_set(size, refuse_below=None):
        upper, lower = values[..., size - 1].min(0), values[..., size].max(0)
        best = int(np.argmax(upper - lower))
        least = float(upper[best] + lower[best]) / 2
        calibration = Calibration(1.0, least, 0.0, refuse_below)
        return {"photo": str(paths[best]), "calibration": calibration.to_json()}

    return {
        "one": with_set(1),
        "two": with_set(2),
        "ten": with_set(1) | {"calibration": Calibration(1.0, 0.0, 0.0).to_json()},
        "none": with_set(1) | {"calibration": None},
        "refused": with_set(2, refuse_below=1.0),
    }


def write_mistaken(images, folder, mistake):
    """Writes images of which a right preprocessing makes what a mistake would make."""
    geometry = Preprocessing(32, 48, 0.8125)
    folder.mkdir()
    for path in images.glob("*.png"):
        inputs = selftest.inputs(np.asarray(Image.open(path)), geometry)
        image = selftest.compose(inputs[mistake], inputs["right"], geometry)
        (folder / path.name).write_bytes(encoded(image, "PNG"))
    return str(folder)


@pytest.fixture(scope="module")
def found(exported, photos, flicker, calibrated, tools, tmp_path_factory):
    """What drive.mjs saw, by scenario."""
    folder, names = photos
    made = tmp_path_factory.mktemp("driven")
    broken = {
        "half.jpg": (folder / "halved.jpg").read_bytes()[:-900],
        "=text.jpg": b"no photo",
        "empty.png": b"",
    }
    for name, data in broken.items():
        (made / name).write_bytes(data)
    (made / "camera.mjpeg").write_bytes(flicker)
    config = {
        "web": str(tools),
        "serve": [sys.executable, "-m", "googlenet_keras", "serve", str(exported),
                  "--port", "0"],
        "folder": str(exported / "export" / "web"),
        "chromium": chromium(),
        "photos": [str(folder / name) for name in names],
        "png": str(folder / "small.png"),
        "broken": [str(made / name) for name in broken],
        "video": str(made / "camera.mjpeg"),
        "calibrated": calibrated,
        "refused": str(made / "refused.csv"),
        "csv": str(made / "photos.csv"),
        "mistaken": {
            name: write_mistaken(exported / "export" / "selftest", made / name, mistake)
            for name, mistake in (("crop", "crop"), ("channels", "channel order"))
        },
        "found": str(made / "found.json"),
        "screenshots": {name: str(made / f"{name}.png")
                        for name in ("many", "camera", "light", "dark")},
    }  # fmt: skip
    (made / "config.json").write_text(json.dumps(config))
    subprocess.run(["node", DRIVER, made / "config.json"], check=True, timeout=600)
    files = {"csv": made / "photos.csv", "refused_csv": made / "refused.csv"}
    return json.loads((made / "found.json").read_text()) | files
