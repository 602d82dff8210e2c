"""Divides a data set into folds for cross-validation."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from googlenet_keras.data.dataset import Dataset, Split, listed_split
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError

MIN_CLASS_IMAGES = 4  # two to train and validate with in each of two folds


def open_dataset_or_fold(
    name: str,
    *,
    validation_fraction: float,
    folds: int = 0,
    fold: int = 0,
    seed: int = 0,
    data_dir: Path | None = None,
    download: bool = False,
    divide: bool = True,
) -> Dataset:
    """Opens a data set as `open_dataset` does; if `fold` is not 0, as that fold.

    Raises UserError as `open_dataset` and `open_fold` do.
    """
    dataset = open_dataset(
        name,
        validation_fraction=validation_fraction,
        data_dir=data_dir,
        download=download,
        divide=divide,
    )
    if not fold:
        return dataset
    return open_fold(
        dataset, fold, folds=folds, seed=seed, validation_fraction=validation_fraction
    )


def open_fold(
    dataset: Dataset, fold: int, *, folds: int, seed: int, validation_fraction: float
) -> Dataset:
    """`dataset` with other splits: its fold number `fold`, from 1, becomes test.

    The training and validation images are pooled and, class by class, divided into
    `folds` parts in an order that depends on `seed` alone. Of the other folds,
    `validation_fraction` of each class is for validation and the rest for training. The
    test images of `dataset` are in none of them. Raises UserError for a source without
    random access, a fold that is none of at least two, and a class with too few images.
    """
    if not (1 <= fold <= folds and folds > 1):
        raise UserError(
            "a fold is one of at least two, counted from 1; received fold "
            f"{fold} of {folds} folds."
        )
    pool = _pool(dataset)
    labels, _ = _listed(pool)
    folds_of_images = _assign(labels, dataset.class_names, folds, seed)
    others = np.flatnonzero(folds_of_images != fold - 1)
    is_held_out = np.zeros(len(labels), bool)
    random = np.random.default_rng(seed)
    for number in np.unique(labels):
        images = random.permutation(others[labels[others] == number])
        count = max(round(len(images) * validation_fraction), 1)
        is_held_out[images[: min(count, len(images) - 1)]] = True
    return replace(
        dataset,
        train=_select(pool, others[~is_held_out[others]], dataset),
        validation=_select(pool, others[is_held_out[others]], dataset),
        test=_select(pool, np.flatnonzero(folds_of_images == fold - 1), dataset),
    )


def join_splits(splits: list[Split]) -> Split:
    """All images of several splits from one source, in their order."""
    parts = [_listed(split) for split in splits]
    labels, references = (np.concatenate(x) for x in zip(*parts, strict=True))
    counts = [split.class_counts or () for split in splits]
    fingerprint = "".join(split.fingerprint for split in splits)
    return listed_split(
        references.tolist(),
        labels.tolist(),
        splits[0].load,
        class_counts=tuple(np.sum(counts, axis=0).tolist()),
        files=tuple(path for split in splits for path in split.files),
        fingerprint=hashlib.sha256(fingerprint.encode()).hexdigest(),
        content=splits[0].content,
    )


def _pool(dataset: Dataset) -> Split:
    """The training and validation images, sorted, however they were divided."""
    if dataset.train.listed is None or dataset.validation.listed is None:
        raise UserError(
            f"--folds needs the digits or a folder of images; {dataset.name} is a TFDS "
            "data set, which can be read in its own order only. Leave --folds out."
        )
    both = join_splits([dataset.train, dataset.validation])
    labels, references = _listed(both)
    return _select(both, np.lexsort((references, labels)), dataset)


def _assign(
    labels: np.ndarray, names: tuple[str, ...], folds: int, seed: int
) -> np.ndarray:
    """The fold of each image, counted from 0, [images]."""
    from sklearn.model_selection import StratifiedKFold

    needed = max(folds, MIN_CLASS_IMAGES)
    for name, count in zip(
        names, np.bincount(labels, minlength=len(names)), strict=True
    ):
        if count < needed:
            raise UserError(
                f"{folds} folds need at least {needed} images of every class; {name!r} "
                f"has {count}. Give fewer --folds, or add images."
            )
    numbers = np.empty(len(labels), int)
    divide = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(divide.split(labels, labels)):
        numbers[held_out] = fold
    return numbers


def _select(split: Split, indices: np.ndarray, dataset: Dataset) -> Split:
    """The images at `indices` of a split, in that order."""
    labels, references = (values[indices] for values in _listed(split))
    counts = np.bincount(labels, minlength=len(dataset.class_names))
    identity = split.fingerprint.encode() + indices.astype("<i8").tobytes()
    return listed_split(
        references.tolist(),
        labels.tolist(),
        split.load,
        class_counts=tuple(counts.tolist()),
        files=tuple(split.files[i] for i in indices) if split.files else (),
        fingerprint=hashlib.sha256(identity).hexdigest(),
        content=split.content,
    )


def _listed(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """The labels and references, [images] each."""
    assert split.listed is not None
    labels, references = split.listed
    return labels.numpy(), references.numpy()
