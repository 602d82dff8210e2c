import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from googlenet_keras.artifacts.artifact import Artifact
from googlenet_keras.classifier import predict

SCRIPT = Path(__file__).parents[2] / "examples" / "classify.py"


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_it_answers_as_predict(bundle, tmp_path, name):
    photo = tmp_path / "digit.png"  # what the network knows: its answers are no noise
    pixels = np.uint8(load_digits().images[7] * 255 / 16)
    Image.fromarray(pixels).resize((90, 90), Image.Resampling.BICUBIC).save(photo)
    done = subprocess.run(
        [sys.executable, SCRIPT, bundle / f"{name}.tflite", photo],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    found = {label: float(score.rstrip("%")) / 100 for score, label in lines}
    (expected,) = predict(Artifact.load(bundle / f"{name}.tflite"), [photo], top=10)
    assert len(found) == 5
    assert np.ptp(list(found.values())) > 0.1  # or any answer would do
    for label, score in found.items():
        assert score == pytest.approx(dict(expected.top)[label], abs=0.03)
