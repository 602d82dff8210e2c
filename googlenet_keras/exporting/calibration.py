"""Selects the calibration images, from which a converter learns activation ranges."""

import logging
from collections import Counter

import numpy as np
import tensorflow as tf

from googlenet_keras.data.dataset import Split
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError

MIN_RECOMMENDED_CALIBRATION_IMAGES = 100  # fewer leave ranges to chance
DEFAULT_CALIBRATION_IMAGES = 256

log = logging.getLogger(__name__)


def calibration_images(
    split: Split, preprocessing: Preprocessing, classes: int, count: int | None = None
) -> np.ndarray:
    """Selects calibration images, balanced by class: [n, height, width, 3] uint8.

    n is `count` (default: 256, or 1 per class if that is more), or all images that
    there are. classes: of the data. Raises UserError for fewer than one of each class;
    warns below 100.
    """
    count = count or max(DEFAULT_CALIBRATION_IMAGES, classes)
    if count < classes:
        raise UserError(
            f"calibration_images must be at least 1 for each of the {classes} classes; "
            f"received {count}."
        )
    references = _select_balanced(split, count, classes)
    if len(references) < MIN_RECOMMENDED_CALIBRATION_IMAGES:
        log.warning(
            "%d calibration images leave ranges to chance; %d or more are better",
            *(len(references), MIN_RECOMMENDED_CALIBRATION_IMAGES),
        )
    images = (preprocessing.read(split.load(reference)) for reference in references)
    return np.stack([np.round(image.numpy()).astype(np.uint8) for image in images])


def _select_balanced(split: Split, count: int, classes: int) -> list[tf.Tensor]:
    """References of up to `count` images, balanced by class."""
    quota = count // classes
    per_class: Counter[int] = Counter()
    within_quota: list[tf.Tensor] = []
    others: list[tf.Tensor] = []
    for _, label, reference in split.shuffled(seed=0, epoch=0):
        if per_class[int(label)] < quota:
            per_class[int(label)] += 1
            within_quota.append(reference)
        elif len(others) < count:
            others.append(reference)
        is_spread = len(within_quota) == quota * classes
        if is_spread and len(within_quota) + len(others) >= count:
            break
    return (within_quota + others)[:count]
