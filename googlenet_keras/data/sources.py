"""Where images come from: digits, a folder, TFDS; one shape for all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from googlenet_keras.data.dataset import Dataset, Split, listed_split
from googlenet_keras.data.folder_source import open_folder
from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user

DIGITS_SPLIT_IMAGES = 300  # digits kept for validation, and as many for the test


def open_dataset(
    name: str,
    *,
    validation_fraction: float = 0.2,
    data_dir: Path | None = None,
    download: bool = False,
) -> Dataset:
    """The data set `name`: "digits", a folder of class folders, or one of TFDS's.

    A folder has class folders in train/, validation/ or val/ and, optionally, test/; or
    class folders alone, of which `validation_fraction` of each class is kept for
    validation, the same files every time. Raises UserError for a name that is none of
    these, a class without images and fewer than two classes. Files that are no whole
    images are left out and named on stderr.
    """
    if name == "digits":
        return _digits()
    if name and _is_folder(name):
        return open_folder(expand_user(name), validation_fraction)
    if not name or name.startswith((".", "~", "/")):
        raise UserError(f"no such folder: {name}.")
    from googlenet_keras.data.tfds_source import open_tfds

    return open_tfds(name, validation_fraction, data_dir, download)


def _is_folder(name: str) -> bool:
    try:
        return expand_user(name).is_dir()
    except OSError:  # a name too long
        return False


def _digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    encoded = [tf.io.encode_png(image).numpy() for image in pixels]
    names = tuple(str(i) for i in range(10))

    def part(indices) -> Split:
        chosen = [encoded[i] for i in indices]
        labels = digits.target[indices]
        counts = tuple(map(int, np.bincount(labels, minlength=len(names))))
        return replace(listed_split(chosen, labels, tf.identity), class_counts=counts)

    everything = np.arange(len(encoded))
    rest, test = train_test_split(
        everything,
        test_size=DIGITS_SPLIT_IMAGES,
        random_state=0,
        stratify=digits.target,
    )
    train, validation = train_test_split(
        rest,
        test_size=DIGITS_SPLIT_IMAGES,
        random_state=0,
        stratify=digits.target[rest],
    )
    return Dataset(
        "digits", names, part(train), part(validation), part(test), kind="digits"
    )
