import base64
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

from googlenet_keras.artifacts.artifact import Artifact
from googlenet_keras.predictor import predict

REQUEST = Path(__file__).parents[2] / "examples" / "tf_serving" / "request.sh"
CURL = """#!/bin/sh
case "$*" in *:predict*) cat > "$SENT"; echo "$*" > "$SENT.url";; esac
"""


def sent_request(folder, model, photo):
    """The URL and the JSON that the example sends, with programs that stand in."""
    for name, script in {"curl": CURL, "docker": "#!/bin/sh\n"}.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "SENT": str(folder / "sent")}
    subprocess.run(
        ["sh", REQUEST, model, photo], env=environment, timeout=60, check=True
    )
    url = (folder / "sent.url").read_text().split()[-1]
    return url, json.loads((folder / "sent").read_text())


@pytest.mark.slow
def test_the_request_suits_the_signature(bundle, tmp_path):
    photo = tmp_path / "digit.png"
    Image.fromarray(np.uint8(load_digits().images[7] * 255 / 16)).save(photo)
    url, request = sent_request(tmp_path, bundle / "saved_model", photo)
    assert url.endswith("/v1/models/googlenet:predict")
    model = tf.saved_model.load(str(bundle / "saved_model"))
    signature = model.signatures[request["signature_name"]]
    ((name, value),) = request["instances"][0].items()
    assert [*signature.structured_input_signature[1]] == [name]
    # names that end in _bytes go with b64: TF Serving's REST API
    assert name.endswith("_bytes")
    assert base64.b64decode(value["b64"]) == photo.read_bytes()
    answers = signature(**{name: tf.constant([base64.b64decode(value["b64"])])})
    (expected,) = predict(Artifact.load(bundle / "saved_model"), [photo], top=5)
    labels = [label.decode() for label in answers["top_labels"][0].numpy()[:5]]
    assert labels == [label for label, _ in expected.top]
