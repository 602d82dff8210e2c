"""Images from which a converter learns the range of every activation."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np

from googlenet_keras.data.dataset import Split
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError

FEW = 100  # fewer leave ranges to chance
DEFAULT = 256


def calibration_images(
    split: Split, preprocessing: Preprocessing, count: int, classes: int
) -> np.ndarray:
    """[n, height, width, 3] uint8 as evaluation sees them, spread over the classes.

    n is `count`, or all there are. classes: of the data. Raises UserError for fewer
    than one of each class; prints a warning below 100.
    """
    if count < classes:
        raise UserError(
            f"calibration_images must be at least 1 for each of the {classes} classes; "
            f"received {count}."
        )
    chosen = _spread(split, count, classes)
    if len(chosen) < FEW:
        print(
            f"warning: {len(chosen)} calibration images leave ranges to chance; "
            f"{FEW} or more are better",
            file=sys.stderr,
        )
    return np.stack([_pixels(split, preprocessing, reference) for reference in chosen])


def _spread(split: Split, count: int, classes: int) -> list:
    """References of up to `count` images, as many of each class as can be."""
    quota = count // classes
    taken: Counter[int] = Counter()
    first, rest = [], []
    for _, label, reference in split.shuffled(seed=0, epoch=0):
        if taken[int(label)] < quota:
            taken[int(label)] += 1
            first.append(reference)
        elif len(rest) < count:
            rest.append(reference)
        if len(first) == quota * classes and len(first) + len(rest) >= count:
            break
    return (first + rest)[:count]


def _pixels(split: Split, preprocessing: Preprocessing, reference) -> np.ndarray:
    image = preprocessing.read(split.load(reference)).numpy()
    return np.round(image).astype(np.uint8)
