"""Classifies a photograph: python classify.py int8.tflite photo.jpg

With --selftest in place of the photograph it tests itself; see selftest.py. Needs
ai-edge-litert, numpy and pillow; neither TensorFlow nor this project.
"""

import json
import sys
import zipfile
from contextlib import suppress

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from PIL.Image import Transpose

TURNS = {  # by EXIF's orientation
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

model, photo = sys.argv[1:]
with zipfile.ZipFile(model) as packed:
    labels = packed.read("labels.txt").decode().splitlines()
    description = json.loads(packed.read("classifier.json"))
geometry, calibration = description["preprocessing"], description.get("calibration")
# of phone.tflite; the crop is between them, and they may hold anything
rows, columns = geometry.get("margin_height", 0), geometry.get("margin_width", 0)
height, width = geometry["height"] - 2 * rows, geometry["width"] - 2 * columns
interpreter = Interpreter(model)
interpreter.allocate_tensors()
(wants,), (gives,) = interpreter.get_input_details(), interpreter.get_output_details()


def read(photo):
    """An upright RGB image; what is transparent is black."""
    image = Image.open(photo)
    image.load()  # also what a PNG has at its end
    exif = Image.Exif()
    with suppress(Exception):  # Pillow raises anything for a damaged block
        exif.load(image.info.get("exif", b""))
    if exif.get(0x0112) in TURNS:
        image = image.transpose(TURNS[exif[0x0112]])
    if image.mode == "I;16":
        image = image.point(lambda value: value / 256).convert("L")
    colors = image.convert("RGBA")
    image = Image.new("RGB", colors.size)
    image.paste(colors, mask=colors)
    return image


def preprocess(image):
    """The center of the image as input, [height, width, 3] in 0..255."""
    scale = geometry["crop_fraction"] * min(image.height / height, image.width / width)
    crop = (round(width * scale), round(height * scale))
    left, top = (image.width - crop[0]) // 2, (image.height - crop[1]) // 2
    box = (left, top, left + crop[0], top + crop[1])
    pixels = image.resize((width, height), Image.Resampling.BILINEAR, box)
    return np.pad(pixels, ((rows, rows), (columns, columns), (0, 0)))


def classify(photo):
    """The probability of each label."""
    pixels = preprocess(read(photo))
    interpreter.set_tensor(wants["index"], pixels[None].astype(wants["dtype"]))
    interpreter.invoke()
    scores = interpreter.get_tensor(gives["index"])[0]
    return scores / (256 if scores.dtype == np.uint8 else 1)


def answer(scores, ranking):
    """The labels of which one is right for 90 % of photographs, or none of these."""
    if scores[ranking[0]] < (calibration.get("refuse_below") or 0):
        return "none of these"
    size = max(1, np.sum(scores >= calibration["least_probability_90"]))
    more = [f"{size - 5} more"] if size > 5 else []
    return "90 %: " + " or ".join([labels[i] for i in ranking[:size][:5]] + more)


if photo == "--selftest":
    from selftest import self_test

    self_test(model, labels, classify)
else:
    scores = classify(photo)
    ranking = np.argsort(-scores, kind="stable")
    for number in ranking[:5]:
        print(f"{scores[number]:6.1%}  {labels[number]}")
    if calibration:
        print(answer(scores, ranking))
