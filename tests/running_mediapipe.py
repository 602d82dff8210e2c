"""Runs MediaPipe Tasks as an app does, in a process of its own."""

import json
import subprocess
import sys

CLASSIFY = """
import json, sys
import mediapipe
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.components.containers.rect import RectF
from mediapipe.tasks.python.vision.core.image_processing_options import (
    ImageProcessingOptions,
)
found = []
for model, photo, region in json.loads(sys.argv[1]):
    options = ImageProcessingOptions(RectF(**region) if region else None)
    with vision.ImageClassifier.create_from_model_path(model) as classifier:
        image = mediapipe.Image.create_from_file(photo)
        (head,) = classifier.classify(image, options).classifications
    found.append({x.category_name: x.score for x in head.categories})
print(json.dumps(found))
"""


def by_mediapipe(*calls):
    """Probabilities by label, for each model, photo and region of interest, or None."""
    done = subprocess.run(
        [sys.executable, "-c", CLASSIFY, json.dumps(calls, default=str)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
