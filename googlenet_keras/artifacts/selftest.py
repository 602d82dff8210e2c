"""The self-test of a bundle: images, and the answers of each exported file to them.

A program classifies the images with its own preprocessing. Wrong answers are compared
with those that known mistakes give. The shape of selftest.json is `SelfTest`.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

SELF_TEST_FOLDER, SELF_TEST_FILE = "selftest", "selftest.json"
RIGHT = "right"
MISTAKES = {
    "crop": "the whole photograph is stretched, in place of the center crop",
    "channel order": "the pixels are BGR, in place of RGB",
    "scaling": "the pixels are 0..1 or -1..1, in place of 0..255",
}


class Answer(TypedDict):
    """A file's answers to one image: if all is right, and with each mistake."""

    image: str  # its file
    classes: list[int]  # the likeliest, by their numbers
    probabilities: dict[str, list[float]]  # of these classes, by RIGHT or mistake


class FileTest(TypedDict):
    """The answers of one exported file."""

    tolerance: float  # of the distance to the right answers
    answers: list[Answer]  # all with the same mistakes: those that show


class SelfTest(TypedDict):
    """The content of selftest.json."""

    labels: list[str]
    mistakes: dict[str, str]  # what is wrong, in a sentence's half
    files: dict[str, FileTest]  # by name


def distances(test: FileTest, probabilities: Sequence[np.ndarray]) -> dict[str, float]:
    """The distances of answers from the right ones and from each mistake's.

    The mean over the images of the largest difference of a probability.
    """

    def distance(name: str) -> float:
        pairs = zip(test["answers"], probabilities, strict=True)
        return float(np.mean([_apart(*pair, name) for pair in pairs]))

    return {name: distance(name) for name in test["answers"][0]["probabilities"]}


def _apart(answer: Answer, found: np.ndarray, name: str) -> float:
    expected = np.array(answer["probabilities"][name])
    return float(np.abs(found[answer["classes"]] - expected).max())
