"""Opens data sets: scikit-learn's digits, folders of images, TFDS."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from googlenet_keras.data.dataset import Dataset, Split, listed_split
from googlenet_keras.data.folder_source import open_folder
from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user

DIGITS_SPLIT_IMAGES = 300  # of the validation split, and of the test split


def open_dataset(
    name: str,
    *,
    validation_fraction: float = 0.2,
    data_dir: Path | None = None,
    download: bool = False,
) -> Dataset:
    """Opens "digits", a folder of class folders, or a TFDS data set by its name.

    A folder has class folders in train/, validation/ or val/ and, optionally, test/; or
    class folders alone, of which `validation_fraction` of each class becomes the
    validation split, the same files every time. Broken images are left out, with a
    warning. data_dir: of prepared TFDS data, or None for TFDS's own. download: let TFDS
    download and prepare the data. Raises UserError for an unknown name, a class without
    images and fewer than two classes.
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

    def split(indices: np.ndarray) -> Split:
        images, labels = [encoded[i] for i in indices], digits.target[indices]
        counts = tuple(map(int, np.bincount(labels, minlength=len(names))))
        return replace(listed_split(images, labels, tf.identity), class_counts=counts)

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
        "digits", names, split(train), split(validation), split(test), kind="digits"
    )
