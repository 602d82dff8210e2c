"""Data sets of tensorflow-datasets, read as the encoded bytes they are stored in."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from googlenet_keras.data.sources import PHOTOS, Dataset, Split
from googlenet_keras.errors import UserError


def open_tfds(
    name: str, validation_fraction: float, data_dir: Path | None, download: bool
) -> Dataset:
    """The TFDS data set `name` with features `image` and `label`.

    Its own validation split is used where it has one, else the last
    `validation_fraction` of train. Raises UserError for an unknown name, for other
    features, and where the data is not prepared and `download` is False.
    """
    builder = _builder(name, data_dir)
    _prepare(builder, name, download)
    features = builder.info.features
    if not {"image", "label"} <= set(features or ()):
        raise UserError(
            f"a TFDS data set needs the features image and label; {name} has "
            f"{', '.join(features or ())}."
        )
    splits = builder.info.splits
    if "train" not in splits:
        raise UserError(f"{name} has no split train; it has {', '.join(splits)}.")
    percent = round(100 * (1 - validation_fraction))
    own = "validation" in splits
    return Dataset(
        name.partition(":")[0].replace("/", "-"),
        tuple(features["label"].names),
        _split(builder, "train" if own else f"train[:{percent}%]"),
        _split(builder, "validation" if own else f"train[{percent}%:]"),
        _split(builder, "test") if "test" in splits else None,
        PHOTOS,
    )


def _builder(name: str, data_dir: Path | None):
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise UserError(
            "dataset must be digits, an existing folder of class folders or the name "
            f"of a TFDS data set; received {name!r}, which is none of them."
        ) from error


def _prepare(builder, name: str, download: bool) -> None:
    if builder.is_prepared():
        return
    if not download:
        raise UserError(
            f"the TFDS data set {name} is not prepared in {builder.data_dir}; nothing "
            "is downloaded unless you ask for it: add --download, or name the folder "
            "that holds it with --data-dir."
        )
    try:
        builder.download_and_prepare(file_format="tfrecord")
    except Exception as error:  # TFDS passes on whatever its downloaders raise
        raise UserError(f"{name} could not be downloaded: {error}") from error


def _split(builder, which: str) -> Split:
    import tensorflow_datasets as tfds

    read = tfds.ReadConfig(try_autocache=False)
    dataset = builder.as_dataset(
        split=which,
        decoders={"image": tfds.decode.SkipDecoding()},
        read_config=read,
        shuffle_files=False,
    )

    def stream() -> tf.data.Dataset:
        return dataset.enumerate().map(
            lambda i, example: (i, example["label"], example["image"])
        )

    return Split(builder.info.splits[which].num_examples, stream, tf.identity)
