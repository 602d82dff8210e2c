"""Divides a data set into folds for cross-validation."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from googlenet_keras.data.dataset import Dataset, Split, listed_split
from googlenet_keras.errors import UserError
from googlenet_keras.run_folder import VALIDATION_FRACTION

MIN_CLASS_IMAGES = 4  # two to train and validate with in each of two folds


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation, and how the other images are divided.

    number: which of the `count` folds, from 1. seed: decides how images are divided.
    validation_fraction: of the other folds (0..1). Raises UserError for a fold that is
    none of at least two.
    """

    number: int
    count: int
    seed: int
    validation_fraction: float

    def __post_init__(self) -> None:
        if not (1 <= self.number <= self.count and self.count > 1):
            raise UserError(
                "a fold is one of at least two, counted from 1; received fold "
                f"{self.number} of {self.count} folds."
            )

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self | None:
        """The fold that a run's options name; None without `fold`."""
        if not options.get("fold"):
            return None
        fold_seed = options.get("fold_seed")
        return cls(
            number=options["fold"],
            count=options.get("folds", 0),
            seed=options.get("seed", 0) if fold_seed is None else fold_seed,
            validation_fraction=options.get("validation_fraction", VALIDATION_FRACTION),
        )


def open_fold(dataset: Dataset, fold: Fold) -> Dataset:
    """`dataset` with other splits: the images of `fold` become its test images.

    The training and validation images are pooled and divided into folds, class by
    class. Of the other folds, a part of each class is for validation and the rest for
    training. The test images of `dataset` are in no fold. Raises UserError for a source
    without random access, and for a class with too few images.
    """
    pool = _pool(dataset)
    labels, _ = _labels_and_references(pool)
    numbers = _assign(labels, dataset.class_names, fold)
    others = np.flatnonzero(numbers != fold.number)
    is_held_out = np.zeros(len(labels), bool)
    random = np.random.default_rng(fold.seed)
    for label in np.unique(labels):
        images = random.permutation(others[labels[others] == label])
        count = max(round(len(images) * fold.validation_fraction), 1)
        is_held_out[images[: min(count, len(images) - 1)]] = True
    return replace(
        dataset,
        train=_select(pool, others[~is_held_out[others]], dataset),
        validation=_select(pool, others[is_held_out[others]], dataset),
        test=_select(pool, np.flatnonzero(numbers == fold.number), dataset),
    )


def largest_fold_count(dataset: Dataset, most: int) -> int:
    """The most folds, up to `most`, that every class has images for; 0 for none."""
    splits = (dataset.train, dataset.validation)
    if any(split.listed is None for split in splits):
        return 0
    labels, _ = _labels_and_references(join_splits([*splits]))
    images = int(np.bincount(labels, minlength=len(dataset.class_names)).min())
    return min(most, images) if images >= MIN_CLASS_IMAGES else 0


def join_splits(splits: list[Split]) -> Split:
    """All images of several splits from one source, in their order."""
    parts = [_labels_and_references(split) for split in splits]
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
    labels, references = _labels_and_references(both)
    return _select(both, np.lexsort((references, labels)), dataset)


def _assign(labels: np.ndarray, names: tuple[str, ...], fold: Fold) -> np.ndarray:
    """The number of the fold of each image, counted from 1, [images]."""
    from sklearn.model_selection import StratifiedKFold

    needed = max(fold.count, MIN_CLASS_IMAGES)
    counts = np.bincount(labels, minlength=len(names))
    for name, count in zip(names, counts, strict=True):
        if count < needed:
            raise UserError(
                f"{fold.count} folds need at least {needed} images of every class; "
                f"{name!r} has {count}. Give fewer --folds, or add images."
            )
    numbers = np.empty(len(labels), int)
    divide = StratifiedKFold(fold.count, shuffle=True, random_state=fold.seed)
    for number, (_, held_out) in enumerate(divide.split(labels, labels), start=1):
        numbers[held_out] = number
    return numbers


def _select(split: Split, indices: np.ndarray, dataset: Dataset) -> Split:
    """The images at `indices` of a split, in that order."""
    labels, references = (values[indices] for values in _labels_and_references(split))
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


def _labels_and_references(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """The labels and references, [images] each."""
    assert split.listed is not None
    labels, references = split.listed
    return labels.numpy(), references.numpy()
