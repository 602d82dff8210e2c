"""Data sets of tensorflow-datasets, read as the encoded bytes they are stored in."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from googlenet_keras.data.dataset import Dataset, Split
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
    names = _class_names(builder, name)
    splits = builder.info.splits
    if "train" not in splits:
        raise UserError(f"{name} has no split train; it has {', '.join(splits)}.")
    own = "validation" in splits
    images = splits["train"].num_examples
    kept = 0 if own else max(round(images * validation_fraction), 1)
    return Dataset(
        name.partition(":")[0].replace("/", "-"),
        names,
        _split(builder, f"train[:{images - kept}]"),
        _split(builder, "validation" if own else f"train[{images - kept}:]"),
        _labelled(_split(builder, "test")) if "test" in splits else None,
    )


def _class_names(builder, name: str) -> tuple[str, ...]:
    import tensorflow_datasets as tfds

    features = builder.info.features or {}
    label = features["label"] if {"image", "label"} <= set(features) else None
    if not isinstance(label, tfds.features.ClassLabel):
        raise UserError(
            "a TFDS data set needs the features image and label, a class label; "
            f"{name} has {', '.join(features)}."
        )
    return tuple(label.names)


def _labelled(split: Split) -> Split | None:
    """The split, or None where its labels are withheld, which TFDS writes as -1."""
    labels = [int(label) for _, label, _ in split.in_order().take(1)]
    return split if labels and labels[0] >= 0 else None


def _builder(name: str, data_dir: Path | None):
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # TFDS raises a kind of its own for each mistake
        raise UserError(
            "dataset must be digits, an existing folder of class folders or the name "
            f"of a TFDS data set; received {name!r}, which is none of them. TFDS says: "
            f"{str(error)[:200]}"
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
