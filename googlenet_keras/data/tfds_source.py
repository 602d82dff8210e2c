"""Opens data sets of tensorflow-datasets; images stay encoded as they are stored."""

from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

from googlenet_keras.data.dataset import Dataset, Split
from googlenet_keras.errors import UserError

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder


def open_tfds(
    name: str, validation_fraction: float, data_dir: Path | None, download: bool
) -> Dataset:
    """Opens the TFDS data set `name`, which has the features `image` and `label`.

    If it has no validation split, the last `validation_fraction` of train becomes one.
    Raises UserError for an unknown name, for other features, and for data that is not
    prepared if `download` is False.
    """
    builder = _builder(name, data_dir)
    _prepare(builder, name, download)
    names = _class_names(builder, name)
    splits = builder.info.splits
    if "train" not in splits:
        raise UserError(f"{name} has no split train; it has {', '.join(splits)}.")
    train, validation = "train", "validation"
    if validation not in splits:
        images = splits["train"].num_examples
        count = images - max(round(images * validation_fraction), 1)
        train, validation = f"train[:{count}]", f"train[{count}:]"
    return Dataset(
        name.partition(":")[0].replace("/", "-"),
        names,
        _split(builder, train),
        _split(builder, validation),
        _drop_unlabeled(_split(builder, "test")) if "test" in splits else None,
    )


def _class_names(builder: "DatasetBuilder", name: str) -> tuple[str, ...]:
    import tensorflow_datasets as tfds

    features = builder.info.features or {}
    label = features["label"] if {"image", "label"} <= set(features) else None
    if not isinstance(label, tfds.features.ClassLabel):
        raise UserError(
            "a TFDS data set needs the features image and label, a class label; "
            f"{name} has {', '.join(features)}."
        )
    return tuple(label.names)


def _drop_unlabeled(split: Split) -> Split | None:
    """The split, or None if its labels are withheld, which TFDS writes as -1."""
    labels = [int(label) for _, label, _ in split.in_order().take(1)]
    return split if labels and labels[0] >= 0 else None


def _builder(name: str, data_dir: Path | None) -> "DatasetBuilder":
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # TFDS raises a kind of its own for each mistake
        raise UserError(
            "dataset must be digits, an existing folder of class folders or the name "
            f"of a TFDS data set; received {name!r}, which is none of them. TFDS says: "
            f"{str(error)[:200]}"
        ) from error


def _prepare(builder: "DatasetBuilder", name: str, download: bool) -> None:
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


def _split(builder: "DatasetBuilder", which: str) -> Split:
    import tensorflow_datasets as tfds

    dataset = builder.as_dataset(
        split=which,
        decoders={"image": tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(try_autocache=False),
        shuffle_files=False,
    )

    def stream() -> tf.data.Dataset:
        return dataset.enumerate().map(
            lambda i, example: (i, example["label"], example["image"])
        )

    return Split(builder.info.splits[which].num_examples, stream, tf.identity)
