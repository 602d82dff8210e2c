"""Runs MediaPipe Tasks as an app does, in a process of its own."""

import json
import subprocess
import sys

CLASSIFY = """
import functools, json, sys
import mediapipe
import numpy as np
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.components.containers.rect import RectF
from mediapipe.tasks.python.vision.core.image_processing_options import (
    ImageProcessingOptions,
)
from PIL import Image, ImageOps

@functools.lru_cache(1)
def pixels(photo):
    upright = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
    return mediapipe.Image(mediapipe.ImageFormat.SRGB, np.asarray(upright))

open_file = functools.cache(vision.ImageClassifier.create_from_model_path)
found = []
for model, photo, region in json.load(sys.stdin):
    options = ImageProcessingOptions(RectF(**region) if region else None)
    (head,) = open_file(model).classify(pixels(photo), options).classifications
    found.append({x.category_name: x.score for x in head.categories})
print(json.dumps(found))
"""


def by_mediapipe(*calls):
    """Probabilities by label, for each model, photo and region of interest, or None."""
    done = subprocess.run(
        [sys.executable, "-c", CLASSIFY],
        input=json.dumps(calls, default=str),
        capture_output=True,
        text=True,
        timeout=120 + len(calls),
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
