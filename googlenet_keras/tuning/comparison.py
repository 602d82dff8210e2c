"""The difference of two networks that were trained and judged in the same rounds."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np
from scipy.stats import t

from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.metrics import CONFIDENCE_LEVEL, Z_SCORE, Interval
from googlenet_keras.tuning.image_results import ImageResults

MIN_FREEDOM = 2  # degrees of it, for a noise that means something


class Difference(TypedDict):
    """The first network's means minus the second's, with 95 % intervals.

    loss: cross-entropy in nats. top1: a fraction of 1. images: how many different ones
    the networks were judged by.
    """

    loss: float
    loss_interval: Interval
    top1: float
    top1_interval: Interval
    images: int
    rounds: int


def compare(
    first: Sequence[ImageResults],
    second: Sequence[ImageResults],
    race: Sequence[Sequence[ImageResults]] = (),
) -> Difference:
    """Compares two networks by the results of each round that both have run.

    race: the results of all networks, from which the noise of a round is known better
    than from two of them; default: these two. Raises UserError unless both were judged
    by the same images in each round.
    """
    pairs = list(zip(first, second, strict=False))
    for one, other in pairs:
        if one.images != other.images or len(one.loss) != len(other.loss):
            raise UserError(
                "the networks of a round are compared on the same images, and these "
                "have changed during the race. Restore them, or start another search "
                "in a new --run-folder."
            )
    losses = [(a.images, a.loss.astype(float) - b.loss) for a, b in pairs]
    hits = [(a.images, a.correct.astype(float) - b.correct) for a, b in pairs]
    race = race or (first, second)
    loss_noise = _noise([[x.loss.mean() for x in rounds] for rounds in race])
    top1_noise = _noise([[x.correct.mean() for x in rounds] for rounds in race])
    loss, loss_interval = _mean_and_interval(losses, loss_noise)
    top1, top1_interval = _mean_and_interval(hits, top1_noise)
    return {
        "loss": loss,
        "loss_interval": loss_interval,
        "top1": top1,
        "top1_interval": top1_interval,
        "images": image_count([one for one, _ in pairs]),
        "rounds": len(pairs),
    }


def image_count(results: Sequence[ImageResults]) -> int:
    """The number of different images in all rounds."""
    return sum({result.images: len(result.loss) for result in results}.values())


class _Noise(NamedTuple):
    """The variance of a network's mean in one round, and its degrees of freedom."""

    variance: float
    freedom: int


def _noise(race: Sequence[Sequence[float]]) -> _Noise:
    """The noise of the means [network][round]: what neither of the two explains.

    Each mean is taken for a network's own value plus a round's plus noise: that of the
    seed, and of how the network suits the round's images.
    """
    cells = [(k, r, x) for k, means in enumerate(race) for r, x in enumerate(means)]
    networks, rounds, means = (np.array(column) for column in zip(*cells, strict=True))
    design = np.hstack(
        [np.equal.outer(x, np.unique(x)).astype(float) for x in (networks, rounds)]
    )
    fitted, _, rank, _ = np.linalg.lstsq(design, means)
    freedom = len(means) - int(rank)
    squares = float(((means - design @ fitted) ** 2).sum())
    return _Noise(squares / max(freedom, 1), freedom)


def _mean_and_interval(
    rounds: Sequence[tuple[str, np.ndarray]], noise: _Noise
) -> tuple[float, Interval]:
    """The mean of the rounds' mean differences, with its 95 % interval.

    rounds: of each a name of its images, and the difference on each of them.
    """
    mean = float(np.mean([values.mean() for _, values in rounds]))
    margin = Z_SCORE * _error_of_images(rounds)
    if noise.freedom >= MIN_FREEDOM:
        error = (2 * noise.variance / len(rounds)) ** 0.5  # two networks differ
        quantile = t.ppf((1 + CONFIDENCE_LEVEL) / 2, noise.freedom)
        # The noise has both the images and the seeds in it, so that it is the whole
        # error already and only the larger one counts. The noise of few rounds may be
        # small by luck, which the error of the images makes good. Rounds on the same
        # images share the luck of these: there the errors add up.
        is_shared = len({images for images, _ in rounds}) < len(rounds)
        combine = np.hypot if is_shared else max
        margin = combine(margin, quantile * error)
    return mean, (float(mean - margin), float(mean + margin))


def _error_of_images(rounds: Sequence[tuple[str, np.ndarray]]) -> float:
    """The standard error of the mean that stems from the choice of the images."""
    shares = defaultdict[str, list[np.ndarray]](list)  # of each image in the mean
    for images, values in rounds:
        share = (values - values.mean()) / (len(values) * len(rounds))
        shares[images].append(share)
    variance = 0.0
    for of_images in shares.values():
        total = np.sum(of_images, axis=0)
        variance += float((total**2).sum()) * len(total) / max(len(total) - 1, 1)
    return variance**0.5
