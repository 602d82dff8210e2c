"""Writes mutated pictures and looks at each; run as a process, since it may die.

python fuzzing_pictures.py FOLDER COUNT

Ends with status 0 if each was checked and predicted, or refused with a message, within
two CPU seconds and 300 MB; prints what it took.
"""

import json
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[i]) for i in (1, 2)]

import numpy as np
from making_pictures import (
    bmp,
    encoded,
    png16,
    scene,
    stripes,
    transparent_files,
    turned_files,
)

MAX_SECONDS, MAX_MEGABYTES = 2.0, 300
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff")


def originals():
    """Whole files of every kind, by name."""
    kinds = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
    plain = {f"plain.{kind.lower()}": encoded(scene(), kind) for kind in kinds}
    others = {
        "progressive.jpg": encoded(scene(), "JPEG", progressive=True),
        "gray.jpg": encoded(scene()[..., 0], "JPEG"),
        "16 bits.png": png16(scene().astype(np.uint16) * 257),
        "1 bit.bmp": bmp(scene()[..., 0] // 128, [(0, 0, 0), (255, 0, 0)], 1),
        "8 bits.bmp": bmp(stripes()[..., 2], [(i, 0, i) for i in range(256)], 8),
        "interlaced.png": encoded(scene(200, 300), "PNG"),
        "large.jpg": encoded(scene(600, 800), "JPEG"),
    }
    transparent = {name: data for name, (data, _) in transparent_files().items()}
    return plain | others | transparent | turned_files(6)


def mutated(data, draw):
    """`data` cut, or with bytes changed, doubled, taken out or moved."""
    start = draw.randrange(len(data))
    if draw.random() < 0.6:  # where the headers are
        start = draw.randrange(min(len(data), 120))
    kind = draw.choice(("cut", "bytes", "bytes", "bits", "extreme", "double", "out"))
    if kind == "cut":
        return data[:start]
    length = draw.randrange(1, 64)
    part, rest = data[start : start + length], data[start + length :]
    if kind in ("double", "out"):
        return data[:start] + (part * 2 if kind == "double" else b"") + rest
    changed = bytearray(data)
    if kind == "extreme":
        changed[start : start + 4] = draw.choice(EXTREMES)
    for _ in range(draw.choice((1, 2, 8)) if kind != "extreme" else 0):
        place = min(start + draw.randrange(8), len(changed) - 1)
        changed[place] ^= (
            1 << draw.randrange(8) if kind == "bits" else draw.randrange(256)
        )
    return bytes(changed)


def write(folder, count):
    """Writes the mutated files into two class folders."""
    draw, whole = random.Random(0), originals()
    for number in range(count):
        name = draw.choice(list(whole))
        path = folder / ("a", "b")[number % 2] / f"{number} {name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = mutated(whole[name], draw)
        if draw.random() < 0.3:
            data = mutated(data, draw) if data else data
        path.write_bytes(data)


def cost(function, *arguments):
    """What the function returns, its CPU seconds and the megabytes that it added."""
    start, before = time.process_time(), peak()
    found = function(*arguments)
    return found, time.process_time() - start, peak() - before


def peak():
    """The largest memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def look(folder):
    """Checks and loads each file as check-data and predict do."""
    from googlenet_keras.data.checks import _check_file
    from googlenet_keras.data.image_files import ImageFileError
    from googlenet_keras.data.preprocessing import Preprocessing
    from googlenet_keras.predictor import load_image

    preprocessing = Preprocessing(64, 64, 0.875)

    def load(path):
        try:
            return load_image(preprocessing, path)
        except ImageFileError as error:
            return error

    (folder / "a" / "first.jpg").write_bytes(encoded(scene(), "JPEG"))
    for function in (_check_file, load):  # the first of all loads the libraries
        function(folder / "a" / "first.jpg")
    seconds = megabytes = 0.0
    problems = Counter()
    for path in sorted(folder.rglob("*.*")):
        for function in (_check_file, load):
            found, took, grown = cost(function, path)
            assert took < MAX_SECONDS, f"{path} took {took:.1f} s"
            assert grown < MAX_MEGABYTES, f"{path} took {grown:.0f} MB"
            seconds, megabytes = max(seconds, took), max(megabytes, grown)
        problem = getattr(found, "problem", "whole").partition(" (")[0]
        problems[problem] += 1
    print(json.dumps({"seconds": seconds, "megabytes": megabytes, **problems}))


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
    look(Path(sys.argv[1]))
