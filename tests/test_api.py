"""The Python API: docs/api.md is run block by block, and DESIGN's five lines."""

import re
import shutil
from pathlib import Path

import pytest
from making import write_photos

import googlenet_keras as gk

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


@pytest.fixture
def session(tmp_path, monkeypatch, torchvision_weights):
    """A folder with photos/ and photo.jpg, and torchvision's file to be fetched."""
    write_photos(tmp_path / "photos", {"red": 8, "green": 8})
    shutil.copy(tmp_path / "photos" / "red" / "0.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_every_block_of_the_api_documentation_runs(session):
    names = {}
    for block in BLOCK.findall((ROOT / "docs" / "api.md").read_text()):
        exec(compile(block, "docs/api.md", "exec"), names)
    assert names["prediction"].path == Path("photo.jpg")
    assert names["imagenet"].labels[0] == "tench"
    assert "'same'" in names["message"]
    assert names["features"].output_shape == (None, 1024)
    report = gk.files.read_json(names["run"].folder.export / "report.json")
    assert len(report["formats"]) == 7
