"""The Python API as a user types it: docs/api.md block by block, and the README's."""

import hashlib
import re
import shutil
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import keras
import numpy as np
import pytest
from making import two_modules, write_photos
from making_pytorch import add_torch_names, zipped

import googlenet_keras as gk
from googlenet_keras import runs
from googlenet_keras.files import read_json, write_json
from googlenet_keras.training.initial_network import (
    copy_initial_weights,
    new_classifier,
)
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.weights import catalog

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
QUICKER = {  # what the tests put in place of what stands once on a page
    "README.md": {
        '"modern", ': '"smoke", architecture="small.json", width=1, run_folder="run", ',
        "image_size=128": "batch_size=4",
        "export(run)": "export(run, formats=('float32',))",
    },
    "docs/api.md": {  # the run and its export are those of the README
        'recipe("smoke", ': 'recipe("smoke", architecture="small.json", width=1, '
        'run_folder="run", resume=True, ',
        '"bn", classes=10, image_size=64, width=0.125': "SMALL, classes=10, "
        "image_size=64",
        "bundle = gk.export(run)  # every format": "",
    },
}
OTHER_PAGES = sorted(
    f"docs/{path.name}"
    for path in (ROOT / "docs").glob("*.md")
    if path.name != "api.md" and BLOCK.search(path.read_text())
)
pytestmark = pytest.mark.slow


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A folder with photos/, others/ and photo.jpg, in which a user's session runs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_photos(tmp_path / "photos", {"red": 8, "green": 8})
    write_photos(tmp_path / "others", {"blue": 3})
    write_json(tmp_path / "small.json", two_modules().to_json())
    shutil.copy(tmp_path / "photos" / "red" / "0.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def torchvision(tmp_path, monkeypatch):
    """torchvision's names with random weights, on a server of this machine."""
    random = np.random.default_rng(0)
    tensors = {}
    for line in (ROOT / "tests/weights/torchvision_names.txt").read_text().splitlines():
        name, *sides = line.split()
        shape = tuple(map(int, sides))
        if name.endswith("num_batches_tracked"):
            tensors[name] = np.array(3, np.int64)
        elif name.endswith((".running_var", ".bn.weight")):
            tensors[name] = random.uniform(0.5, 2, shape).astype(np.float32)
        else:
            tensors[name] = random.normal(0, 0.05, shape).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        add_torch_names(patch)
        file = zipped(tmp_path / "googlenet-1378be20.pth", tensors)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        published = replace(
            catalog.TORCHVISION_WEIGHTS,
            url=f"http://127.0.0.1:{server.server_port}/{file.name}",
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        monkeypatch.setitem(catalog.PUBLISHED_WEIGHTS, "torchvision", published)
        yield tensors
        server.shutdown()


def run_blocks(page):
    """The names that the blocks of a page leave; its trainings take a moment."""
    names, shown = {"SMALL": two_modules()}, (ROOT / page).read_text()
    for text, quicker in QUICKER.get(page, {}).items():
        assert shown.count(text) == 1
        shown = shown.replace(text, quicker)
    for block in BLOCK.findall(shown):
        exec(compile(block, page, "exec"), names)
    return names


def test_every_block_of_the_readme_and_of_the_api_runs(session, torchvision):
    names = run_blocks("README.md")
    assert names["network"].output["main"].shape == (None, 10)
    report = read_json(names["run"].folder.export / "report.json")
    assert report["formats"]["float32"]["passed"]
    trained = names["run"].folder.result.stat().st_mtime_ns
    names = run_blocks("docs/api.md")
    assert names["run"].folder.result.stat().st_mtime_ns == trained
    assert names["prediction"].path == Path("photo.jpg")
    assert names["imagenet"].labels[0] == "tench"
    assert "'same'" in names["message"]
    assert names["features"].output_shape == (None, 1024)
    assert names["artifact"].labels == ("green", "red")


@pytest.mark.parametrize("page", OTHER_PAGES)
def test_every_block_of_other_pages_runs(page, session, torchvision):
    assert run_blocks(page)


def test_weights_and_classes_that_a_keras_user_expects(session, torchvision):
    classifier = gk.Classifier.from_pretrained("torchvision")
    kernel = classifier.network.get_layer("conv1_7x7_s2").get_weights()[0]
    np.testing.assert_array_equal(
        kernel, torchvision["conv1.conv.weight"].transpose(2, 3, 1, 0)
    )
    network = gk.build("bn", weights="torchvision", classes=10)
    assert isinstance(network, keras.Model)
    assert network.output["main"].shape == (None, 10)
    np.testing.assert_array_equal(
        network.get_layer("conv1_7x7_s2").get_weights()[0], kernel
    )
    whole = gk.build("bn", weights="torchvision")
    np.testing.assert_array_equal(
        whole.get_layer("main").get_weights()[0], torchvision["fc.weight"].T
    )


def finetuning():
    return gk.TrainConfig.from_recipe(
        "finetune", dataset="photos", image_size=32, epochs=1, batch_size=4
    )


def test_training_starts_from_a_name(session, torchvision):
    job = TrainingJob.from_config(finetuning(), runs._find_weights)
    started = new_classifier(job, (32, 32))
    assert started.provenance["started_from"] == "torchvision"
    assert copy_initial_weights(job, started.network)
    np.testing.assert_array_equal(
        started.network.get_layer("conv1_7x7_s2").get_weights()[0],
        torchvision["conv1.conv.weight"].transpose(2, 3, 1, 0),
    )


@pytest.mark.exhaustive
def test_a_run_that_starts_from_a_name_ends(session, torchvision):
    run = gk.train(finetuning())
    assert run.classifier.provenance["started_from"] == "torchvision"
    assert run.folder.is_finished
