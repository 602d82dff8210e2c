"""Fits a network's calibration on validation images, and measures it on others."""

import logging
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from googlenet_keras.calibration import COVERAGES, Calibration
from googlenet_keras.evaluation.metrics import ImageScores, bin_confidences, wilson

log = logging.getLogger(__name__)

ACCEPTED_PERCENT = 95  # of validation images, by the threshold that refuses others
MIN_IMAGES = 19  # with fewer, 95 % is all of them
ROUNDING = 1 - 1e-5  # else rounding could move the image that a limit is from below it
SMALLEST_MISSING = 1e-6  # less is the rounding of probabilities that sum to 1
LARGEST_TEMPERATURE = 100.0  # and its inverse the smallest


def fit_calibration(
    log_probabilities: np.ndarray, labels: np.ndarray, with_refusal: bool = False
) -> Calibration:
    """The calibration of log-probabilities [images, classes] for labels [images].

    with_refusal: the network was trained with pictures of none of the classes.
    """
    temperature = fit_temperature(log_probabilities, labels)
    logs = change_temperature(log_probabilities, temperature)
    right = np.exp(_of_labels(logs, labels))
    limits = {
        f"least_probability_{coverage}": least_probability(right, coverage)
        for coverage in COVERAGES
    }
    if len(labels) < MIN_IMAGES:
        log.warning(
            f"{len(labels)} validation images are too few for prediction sets and a "
            f"threshold; {MIN_IMAGES} are needed"
        )
    elif with_refusal:
        confidence = np.exp(logs.max(axis=1))
        limits["refuse_below"] = least_probability(confidence, ACCEPTED_PERCENT)
    return Calibration(temperature, **limits)


def change_temperature(log_probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Log-probabilities [images, classes] after the logits were divided by it.

    What is missing from a sum of 1 is the probability of none of the classes, whose
    logit is divided as well.
    """
    missing = 1 - np.exp(log_probabilities).sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):  # the logarithm of 0
        none = np.log(np.where(missing > SMALLEST_MISSING, missing, 0))
    logs = np.concatenate([log_probabilities, none], axis=1)
    return log_softmax(logs / temperature, axis=1)[:, :-1]


def fit_temperature(log_probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the smallest cross-entropy, as in arXiv 1706.04599.

    One image more, of which nothing is known, is counted: without it the temperature
    of a network without mistakes would be 0.
    """

    def loss(logarithm: float) -> float:
        logs = change_temperature(log_probabilities, np.exp(logarithm))
        return float(-_of_labels(logs, labels).sum() - logs.mean())

    limit = np.log(LARGEST_TEMPERATURE)
    found = minimize_scalar(loss, bounds=(-limit, limit), method="bounded")
    return float(np.exp(found.x))


def least_probability(right: np.ndarray, coverage: int) -> float:
    """The probability that `coverage` percent of new images reach (arXiv 1609.00451).

    right: that of each validation image's label, [images]; a new image's is as large in
    the mean over all choices of validation images. 0, which every label reaches, if
    there are too few images.
    """
    place = (len(right) + 1) * (100 - coverage) // 100
    return float(np.sort(right)[place - 1]) * ROUNDING if place else 0.0


def set_figures(
    log_probabilities: np.ndarray, scores: ImageScores, calibration: Calibration
) -> dict[str, Any]:
    """Coverage and mean size of the prediction sets, with the coverage's interval.

    log_probabilities: [images, classes], from which `scores` were made.
    """
    probabilities, right = np.exp(log_probabilities), np.exp(-scores.loss)
    found: dict[str, Any] = {}
    intervals = {}
    for coverage in COVERAGES:
        # the likeliest label is always in the set
        is_in = (right >= calibration.least_probability(coverage)) | scores.correct
        size = calibration.set_size(probabilities, coverage).mean()
        found[f"coverage_{coverage}"] = float(is_in.mean())
        found[f"set_size_{coverage}"] = float(size)
        intervals[f"coverage_{coverage}"] = wilson(is_in)
    return {**found, "intervals": intervals}


def reliability(scores: ImageScores) -> dict[str, np.ndarray]:
    """Mean confidence, top-1 and number of images of each bin with images, [bins]."""
    bins = bin_confidences(scores.confidence)
    counts = np.bincount(bins)
    filled = counts > 0
    totals = {"confidence": scores.confidence, "top1": scores.correct}
    means = {
        name: np.bincount(bins, values)[filled] / counts[filled]
        for name, values in totals.items()
    }
    return {**means, "images": counts[filled]}


def chance_calibration_error(scores: ImageScores) -> float:
    """The calibration error that chance gives to probabilities that are exactly right.

    It is the mean over all labels that as many images could have, to within the normal
    approximation of each bin: of few images no calibration error is near 0.
    """
    bins, right = bin_confidences(scores.confidence), scores.confidence
    variances = np.bincount(bins, right * (1 - right))  # of the sum of each bin
    return float(np.sqrt(2 / np.pi * variances).sum() / len(bins))


def _of_labels(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The value of each image's label, [images]; values: [images, classes]."""
    return np.take_along_axis(values, labels[:, None], axis=1)[:, 0]
