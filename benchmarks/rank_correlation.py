"""Kendall's tau between cheap scores of networks and networks trained alone."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import kendalltau

RESAMPLES = 500
QUANTILES = (0.025, 0.975)  # of a 95 % interval


@dataclass(frozen=True)
class Score:
    """A score of several networks, low where a network is taken for good.

    trainings: [trainings, networks, images], or with 1 in place of the images for what
    is not of images. cpu_seconds: of a network. cpu_seconds_once: for all of them.
    is_reference: whether its trainings are those that it is compared with, one by one.
    """

    name: str
    trainings: np.ndarray
    cpu_seconds: float = 0.0
    cpu_seconds_once: float = 0.0
    is_reference: bool = False


class Tau(NamedTuple):
    """Kendall's tau-b and its 95 % interval."""

    value: float
    low: float
    high: float


def rank_correlation(score: Score, reference: np.ndarray) -> Tau | None:
    """Kendall's tau of a score with the mean of several trainings.

    None if one of them does not vary. reference: [trainings, networks, images], low
    where a network is good. One of the reference's own trainings is compared with the
    mean of the others. The result is the mean over the score's trainings. The interval
    is a bootstrap over the images, the same for all networks, and over each network's
    trainings of the reference. It lies rather low: a resample is noisier than what was
    measured.
    """
    pairs = [
        (one, np.delete(reference, k, axis=0) if score.is_reference else reference)
        for k, one in enumerate(score.trainings)
    ]
    value = float(np.mean([_tau(one, others) for one, others in pairs]))
    if np.isnan(value):
        return None
    random = np.random.default_rng(0)
    resampled = [_resampled(pairs, random) for _ in range(RESAMPLES)]
    low, high = np.nanquantile(resampled, QUANTILES)
    return Tau(value, float(low), float(high))


def _resampled(
    pairs: list[tuple[np.ndarray, np.ndarray]], random: np.random.Generator
) -> float:
    """The mean tau of one resample."""
    trainings, networks, images = pairs[0][1].shape
    seen = random.integers(images, size=images)
    drawn = random.integers(trainings, size=(trainings, networks))
    return float(
        np.mean(
            [
                _tau(
                    one[:, seen] if one.shape[1] > 1 else one,
                    others[drawn, np.arange(networks)][..., seen],
                )
                for one, others in pairs
            ]
        )
    )


def _tau(score: np.ndarray, reference: np.ndarray) -> float:
    """Tau of the means of [networks, images] and [trainings, networks, images]."""
    return kendalltau(score.mean(axis=1), reference.mean(axis=(0, 2))).statistic
