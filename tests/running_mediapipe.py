"""Runs MediaPipe Tasks as an app does, in a process of its own."""

import json
import subprocess
import sys

CLASSIFY = """
import functools, json, sys
sys.modules["tensorflow"] = None  # which MediaPipe imports for its own documentation
import mediapipe
import numpy as np
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.components.containers.rect import RectF
from mediapipe.tasks.python.vision.core.image_processing_options import (
    ImageProcessingOptions,
)
from PIL import Image, ImageFilter, ImageOps

calls, megapixels, least_side = json.load(sys.stdin)

@functools.lru_cache(1)
def pixels(photo):
    upright = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
    if megapixels:
        scale = (megapixels * 1e6 / (upright.width * upright.height)) ** 0.5
        size = round(upright.width * scale), round(upright.height * scale)
        upright = upright.resize(size, Image.Resampling.LANCZOS)
        upright = upright.filter(ImageFilter.UnsharpMask(scale / 2, 150, 0))
    if least_side:
        times = max(min(upright.size) // least_side, 1)
        upright = upright.reduce(1 << (times.bit_length() - 1))
    return mediapipe.Image(mediapipe.ImageFormat.SRGB, np.asarray(upright))

open_file = functools.cache(vision.ImageClassifier.create_from_model_path)
found = []
for model, photo, region in calls:
    options = ImageProcessingOptions(RectF(**region) if region else None)
    (head,) = open_file(model).classify(pixels(photo), options).classifications
    found.append({x.category_name: x.score for x in head.categories})
print(json.dumps(found))
"""


def by_mediapipe(*calls, megapixels=0, least_side=0):
    """Probabilities by label, for each model, photo and region of interest, or None.

    megapixels: enlarge and sharpen the photos to that size, as if a camera had taken
    them so; 0: do not. least_side: then halve them as often as their shorter side stays
    as long, as Android's inSampleSize does; 0: do not.
    """
    done = subprocess.run(
        [sys.executable, "-c", CLASSIFY],
        input=json.dumps([calls, megapixels, least_side], default=str),
        capture_output=True,
        text=True,
        timeout=120 + 3 * len(calls),
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
