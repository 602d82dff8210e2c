"""Classification metrics with 95 % intervals, every image counted once."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple, TypedDict

import numpy as np
from scipy.special import logsumexp
from scipy.stats import binomtest, norm

from googlenet_keras.errors import UserError
from googlenet_keras.run_folder import TOP_K, HeadFigures

METRIC_NAMES = {
    "top1": "top-1",
    "top5": "top-5",
    "macro_f1": "macro-F1",
    "loss": "loss",
    "calibration_error": "calibration error",
}
CALIBRATION_BINS = 15  # arXiv 1706.04599
CONFIDENCE_LEVEL = 0.95
Z_SCORE = 1.96  # standard deviations on either side of a normal mean for that level
BOOTSTRAP_SAMPLES = 1000

Interval = tuple[float, float]


class ClassFigures(TypedDict):
    """Metrics of one class; `predicted` counts the images predicted as that class."""

    images: int
    predicted: int
    precision: float
    recall: float
    f1: float


class ImageScores(NamedTuple):
    """How one head classified each image; every array is [images]."""

    label: np.ndarray  # class number, as the next
    predicted: np.ndarray
    confidence: np.ndarray  # probability of the predicted class
    rank: np.ndarray  # how many classes are likelier than the label
    loss: np.ndarray  # -log of the label's probability

    @property
    def correct(self) -> np.ndarray:
        """Whether the label is the likeliest class, [images]."""
        return self.rank == 0


def score_images(log_probabilities: np.ndarray, labels: np.ndarray) -> ImageScores:
    """Scores log-probabilities [images, classes] against class numbers [images].

    A class tied with the label counts as likelier if its number is smaller: equal
    probabilities are no knowledge. Raises UserError for values that are not finite.
    """
    logs = log_probabilities
    if not np.isfinite(logs).all():
        raise UserError("logits must be finite; these weights give some that are not.")
    right = np.take_along_axis(logs, labels[:, None], axis=1)
    earlier = np.arange(logs.shape[1]) < labels[:, None]
    likelier = (logs > right) | ((logs == right) & earlier)
    return ImageScores(
        label=labels,
        predicted=logs.argmax(axis=1),
        confidence=np.exp(logs.max(axis=1)),
        rank=likelier.sum(axis=1),
        loss=-right[:, 0],
    )


def concatenate(batches: Sequence[ImageScores]) -> ImageScores:
    """Concatenates the scores of several batches."""
    return ImageScores(*map(np.concatenate, zip(*batches, strict=True)))


def log_mean(log_probabilities: np.ndarray, axis: int) -> np.ndarray:
    """Logarithms of the mean probabilities over `axis` of [..., classes]."""
    count = log_probabilities.shape[axis]
    return logsumexp(log_probabilities, axis=axis) - np.log(count)


def figures(scores: ImageScores, classes: int) -> HeadFigures:
    """All metrics of one head with their 95 % intervals.

    top5 is None for 5 classes or fewer. macro_f1 is the mean over the classes that
    occur among labels or predictions. calibration_error is the mean distance between
    confidence and top1 in 15 bins of confidence (arXiv 1706.04599). Intervals are
    Wilson's for top1 and top5, bootstrapped for the others.
    """
    in_top5 = scores.rank < TOP_K
    has_top5 = classes > TOP_K
    values, intervals = _bootstrap(scores, classes)
    return {
        "top1": float(scores.correct.mean()),
        "top5": float(in_top5.mean()) if has_top5 else None,
        "macro_f1": values[0],
        "loss": values[1],
        "calibration_error": values[2],
        "intervals": {
            "top1": wilson(scores.correct),
            "top5": wilson(in_top5) if has_top5 else None,
            "macro_f1": intervals[0],
            "loss": intervals[1],
            "calibration_error": intervals[2],
        },
    }


def wilson(hits: np.ndarray) -> Interval:
    """Wilson's 95 % interval of a fraction; hits: [images] of booleans."""
    test = binomtest(int(hits.sum()), len(hits))
    interval = test.proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def _bootstrap(
    scores: ImageScores, classes: int
) -> tuple[Sequence[float], list[Interval]]:
    """Macro-F1, loss and calibration error, and a 95 % interval of each.

    Percentiles, corrected for the bias of resampling: images drawn twice raise a
    calibration error.
    """
    bins = bin_confidences(scores.confidence)
    overconfidence = scores.confidence - scores.correct

    def statistics(images: np.ndarray) -> Sequence[float]:
        by_bin = np.bincount(bins[images], overconfidence[images])
        return (
            macro_f1(scores.label[images], scores.predicted[images], classes),
            float(scores.loss[images].mean()),
            float(np.abs(by_bin).sum() / len(images)),
        )

    count = len(scores.label)
    values = statistics(np.arange(count))
    draw = np.random.default_rng(0).integers
    samples = np.array(
        [statistics(draw(count, size=count)) for _ in range(BOOTSTRAP_SAMPLES)]
    )
    samples += np.array(values) - samples.mean(axis=0)
    tail = (1 - CONFIDENCE_LEVEL) / 2
    limits = np.clip(np.quantile(samples, [tail, 1 - tail], axis=0), 0, (1, np.inf, 1))
    return values, [(low, high) for low, high in limits.T.tolist()]


def bin_confidences(confidences: np.ndarray) -> np.ndarray:
    """The bin, from 0, of each confidence, [images]; all bins are equally wide."""
    bins = (confidences * CALIBRATION_BINS).astype(int)
    return np.minimum(bins, CALIBRATION_BINS - 1)


def macro_f1(labels: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """The mean F1 of the classes that occur, as scikit-learn's f1_score(macro)."""
    # a hundred times faster than scikit-learn's, which the bootstrap needs
    hits, labeled, found = _class_counts(labels, predicted, classes)
    occurred = labeled + found
    present = occurred > 0
    return float((2 * hits[present] / occurred[present]).mean())


def _class_counts(
    labels: np.ndarray, predicted: np.ndarray, classes: int
) -> list[np.ndarray]:
    """Counts of correct predictions, labels and all predictions, each [classes]."""
    images = labels[labels == predicted], labels, predicted
    return [np.bincount(numbers, minlength=classes) for numbers in images]


def top1_difference(first: ImageScores, second: ImageScores) -> tuple[float, Interval]:
    """Top-1 of `first` minus top-1 of `second` on the same images, with its interval.

    That of `paired_difference`.
    """
    paired = paired_difference(first.correct, second.correct)
    margin = Z_SCORE * paired.deviation
    interval = paired.center - margin, paired.center + margin
    return paired.difference, interval


class PairedDifference(NamedTuple):
    """The difference of two fractions on the same images.

    center, deviation: of a normal distribution of the true difference, after Agresti
    and Min (2005), which adds half an image to each of the four outcomes.
    """

    difference: float
    center: float
    deviation: float
    images: int

    def confidence_below(self, limit: float) -> float:
        """With which confidence, 0..1, the true difference is below `limit`."""
        return float(norm.cdf((limit - self.center) / self.deviation))

    def images_for(self, limit: float, confidence: float) -> int | None:
        """How many such images would show with `confidence` that it is below `limit`.

        None if it is not below in these images.
        """
        if self.center >= limit:
            return None
        by_image = self.deviation**2 * self.images  # the variance of one image
        return ceil(by_image * (norm.ppf(confidence) / (limit - self.center)) ** 2)


def paired_difference(first: np.ndarray, second: np.ndarray) -> PairedDifference:
    """The fraction of `first` minus that of `second`; [images] of booleans each."""
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    images = len(first)
    difference, discordant = only_first - only_second, only_first + only_second + 1
    center = difference / (images + 2)
    deviation = (discordant - difference**2 / (images + 2)) ** 0.5 / (images + 2)
    return PairedDifference(difference / images, center, deviation, images)


def class_figures(scores: ImageScores, names: Sequence[str]) -> dict[str, ClassFigures]:
    """Metrics of each class that occurs among labels or predictions, by its name.

    Precision, recall and F1 are 0 where they are undefined.
    """
    counts = _class_counts(scores.label, scores.predicted, len(names))
    rows = zip(names, *(count.tolist() for count in counts), strict=True)
    return {
        name: {
            "images": images,
            "predicted": predicted,
            "precision": hits / max(predicted, 1),
            "recall": hits / max(images, 1),
            "f1": 2 * hits / (images + predicted),
        }
        for name, hits, images, predicted in rows
        if images or predicted
    }
