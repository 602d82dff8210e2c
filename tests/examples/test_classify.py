import subprocess
import sys
from pathlib import Path

import pytest
from making import write_photos

from googlenet_keras.classifier import Classifier
from googlenet_keras.evaluation.predict import predict

SCRIPT = Path(__file__).parents[2] / "examples" / "classify.py"


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_it_answers_as_predict(bundle, tmp_path, name):
    photo = write_photos(tmp_path / "p", {"a": 1}, size=(60, 90)) / "a" / "0.jpg"
    done = subprocess.run(
        [sys.executable, SCRIPT, bundle / f"{name}.tflite", photo],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    found = {label: float(score.rstrip("%")) / 100 for score, label in lines}
    (expected,) = predict(Classifier.load(bundle.parent), [photo], top=10)
    assert len(found) == 5
    for label, score in found.items():
        assert score == pytest.approx(dict(expected.top)[label], abs=0.03)
