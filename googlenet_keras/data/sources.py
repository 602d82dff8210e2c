"""Opens data sets: scikit-learn's digits, folders of images, TFDS."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from googlenet_keras.data.dataset import Dataset, Split, listed_split, without_autograph
from googlenet_keras.data.folder_source import open_folder
from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user
from googlenet_keras.installation import EXTRAS, require
from googlenet_keras.run_folder import VALIDATION_FRACTION

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

DIGITS_SPLIT_IMAGES = 300  # of the validation split, and of the test split


def open_dataset(
    name: str,
    *,
    validation_fraction: float = VALIDATION_FRACTION,
    data_dir: Path | None = None,
    download: bool = False,
    divide: bool = True,
) -> Dataset:
    """Opens "digits", a folder of class folders, or a TFDS data set by its name.

    A folder has class folders in train/, validation/ (val, valid, dev) and, optionally,
    test/, in any case; or class folders alone, of which `validation_fraction` of each
    class becomes the validation split, the same files every time. Broken images and
    what is in no class folder are left out, with a warning. divide: False to evaluate a
    folder as it is: without split folders every split is all of it, with them a split
    may be missing, and one class is enough. A TFDS data set has the features `image`
    and `label`; if it has no validation split, the last `validation_fraction` of train
    becomes one. data_dir: of prepared TFDS data, or None for TFDS's own. download: let
    TFDS download and prepare the data. Raises UserError for an unknown name, a class
    without images and fewer than two classes.
    """
    if not name:
        raise UserError("a data set needs a name; received an empty one.")
    if name == "digits":
        return _open_digits()
    if os.path.isdir(os.path.expanduser(name)):
        return open_folder(expand_user(name), validation_fraction, divide)
    if name.startswith((".", "~", "/")):
        raise UserError(f"no such folder: {name}.")
    builder = _tfds_builder(name, data_dir, download)
    return _open_tfds(name, validation_fraction, builder)


def _open_digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    encoded = [tf.io.encode_png(image).numpy() for image in pixels]
    names = tuple(str(i) for i in range(10))
    divide = partial(train_test_split, test_size=DIGITS_SPLIT_IMAGES, random_state=0)

    def split(indices: np.ndarray) -> Split:
        images, labels = [encoded[i] for i in indices], digits.target[indices]
        counts = tuple(np.bincount(labels, minlength=len(names)).tolist())
        return listed_split(images, labels, tf.identity, class_counts=counts)

    rest, test = divide(np.arange(len(encoded)), stratify=digits.target)
    train, validation = map(split, divide(rest, stratify=digits.target[rest]))
    return Dataset("digits", names, train, validation, split(test), kind="digits")


def _open_tfds(name: str, fraction: float, builder: "DatasetBuilder") -> Dataset:
    import tensorflow_datasets as tfds

    features, splits = builder.info.features or {}, builder.info.splits
    label = features["label"] if {"image", "label"} <= set(features) else None
    if not isinstance(label, tfds.features.ClassLabel):
        raise UserError(
            "a TFDS data set needs the features image and label, a class label; "
            f"{name} has {', '.join(features)}."
        )
    if "train" not in splits:
        raise UserError(
            f"a data set needs a split train; {name} has {', '.join(splits)}. Choose "
            "another."
        )
    train, validation = "train", "validation"
    if validation not in splits:
        images = splits["train"].num_examples
        count = images - max(round(images * fraction), 1)
        train, validation = f"train[:{count}]", f"train[{count}:]"

    def split(name: str) -> Split:
        dataset = builder.as_dataset(
            split=name,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(try_autocache=False),
            shuffle_files=False,
        ).enumerate()
        dataset = dataset.map(
            without_autograph(lambda i, x: (i, x["label"], x["image"]))
        )
        return Split(splits[name].num_examples, lambda: dataset, tf.identity)

    test = split("test") if "test" in splits else None
    if test and all(int(x) < 0 for _, x, _ in test.in_order().take(1)):
        test = None  # TFDS writes labels that are withheld as -1
    short_name = name.partition(":")[0].replace("/", "-")
    return Dataset(
        short_name, tuple(label.names), split(train), split(validation), test
    )


def _tfds_builder(name: str, data_dir: Path | None, download: bool) -> "DatasetBuilder":
    what = f"dataset={name!r:.200}, which is neither digits nor an existing folder,"
    require(what, "tfds", EXTRAS["tfds"])
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # TFDS raises a kind of its own for each mistake
        raise UserError(
            "dataset must be digits, an existing folder of class folders or the name "
            f"of a TFDS data set; received {name!r}, which is none of them. TFDS says: "
            f"{str(error)[:200]}"
        ) from error
    if builder.is_prepared():
        return builder
    if not download:
        raise UserError(
            f"the TFDS data set {name} is not prepared in {builder.data_dir}; nothing "
            "is downloaded unless you add --download, or name its folder by --data-dir."
        )
    try:
        builder.download_and_prepare(file_format="tfrecord")
    except Exception as error:  # TFDS passes on whatever its downloaders raise
        raise UserError(f"{name} could not be downloaded: {error}") from error
    return builder
