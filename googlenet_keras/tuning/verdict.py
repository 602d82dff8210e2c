"""The verdict of a search: which network it hands over, and why, in a sentence."""

from typing import TypedDict

from googlenet_keras.evaluation.metrics import Interval
from googlenet_keras.tuning.comparison import Difference
from googlenet_keras.tuning.race import Race
from googlenet_keras.tuning.trials import UNIFORM, TrialRow, describe_network

EVEN_WIDTH = describe_network(UNIFORM)


class Verdict(TypedDict):
    """The race's result for the network that won, or that came nearest to winning.

    is_better: than even width, with 95 % confidence. trial: None if no network but that
    of even width has run a round. difference: to even width; None without a race.
    """

    sentence: str
    is_better: bool
    trial: str | None
    difference: Difference | None


def judge_race(race: Race) -> Verdict:
    """The verdict of a race that has ended."""
    winner = race.winner()
    if winner is not race.uniform:
        difference = race.difference(winner)
        assert difference  # of a network that has run
        words = f"is better than {EVEN_WIDTH}: {_describe(difference)}"
        return _verdict(winner.name, difference, words, is_better=True)
    nearest = race.nearest()
    difference = race.difference(nearest) if nearest else None
    why = "no other network has run a round"
    if nearest and difference:
        name = describe_network(nearest.name)
        why = f"the nearest, {name}, has {_describe(difference)}"
    return {
        "sentence": f"no network found is better than {EVEN_WIDTH} with confidence: "
        f"{why}; best_architecture.json is the one of even width",
        "is_better": False,
        "trial": nearest.name if nearest else None,
        "difference": difference,
    }


def without_race(best: TrialRow) -> Verdict:
    """The verdict of a search without a race: nothing was shown."""
    words = (
        "is chosen by its loss in one training; without a race it is not shown to be "
        f"better than {EVEN_WIDTH}"
    )
    return _verdict(best["trial"], None, words, is_better=False)


def _verdict(
    trial: str, difference: Difference | None, words: str, is_better: bool
) -> Verdict:
    return {
        "sentence": f"{describe_network(trial)} {words}",
        "is_better": is_better,
        "trial": trial,
        "difference": difference,
    }


def _describe(difference: Difference) -> str:
    """The differences with their intervals, and what they were measured on."""
    points = tuple(100 * x for x in difference["top1_interval"])
    loss = _change(difference["loss"], difference["loss_interval"], 3)
    top1 = _change(100 * difference["top1"], (points[0], points[1]), 1, " points")
    images, rounds = difference["images"], difference["rounds"]
    many = f"{rounds} rounds" if rounds > 1 else "1 round"
    return f"loss {loss}, top-1 {top1}, on {images:,} images of {many}"


def _change(value: float, interval: Interval, digits: int, unit: str = "") -> str:
    """A difference as "higher by 1.1 points (0.2 to 2.0)"; a lower one turned round."""
    low, high = interval
    word = "lower" if value < 0 else "higher"
    if value < 0:
        value, low, high = -value, -high, -low
    size = f"{value:.{digits}f}{unit}"
    return f"{word} by {size} ({low:.{digits}f} to {high:.{digits}f})"
