"""Tests a program's preprocessing and labels: python classify.py int8.tflite --selftest

`export.py` puts the folder selftest beside the files: images, and in selftest.json the
probabilities that each file gives for them, if all is right and with each known
mistake. Needs numpy only.
"""

import json
import sys
from pathlib import Path

import numpy as np


def self_test(model, labels, classify):
    """Prints that all is right, or exits with status 1 and what is wrong.

    model: path of an exported file. classify: the path of an image to probabilities in
    the order of `labels`.
    """
    folder = Path(model).with_name("selftest")
    if not folder.is_dir():
        sys.exit(f"the folder {folder} of the export must be beside {model}")
    test = json.loads((folder / "selftest.json").read_text())
    if Path(model).name not in test["files"]:
        sys.exit(f"{folder} knows {', '.join(test['files'])}; not {model}")
    expected = test["files"][Path(model).name]
    found = [classify(folder / answer["image"]) for answer in expected["answers"]]
    wrong = wrong_labels(labels, test["labels"])
    if wrong := wrong or wrong_answers(expected, found, test["mistakes"]):
        sys.exit(wrong)
    shown = [name for name in test["mistakes"] if name in distances(expected, found)]
    print(f"passed ({', '.join(['labels', *shown])})")


def wrong_labels(labels, expected):
    """Where the labels differ, or None."""
    for line, pair in enumerate(zip(labels, expected, strict=False), start=1):
        if pair[0] != pair[1]:
            return "labels: line {} is {}, must be {}".format(line, *pair)
    if len(labels) != len(expected):
        return f"labels: there are {len(labels)}, must be {len(expected)}"


def wrong_answers(expected, found, mistakes):
    """The mistake whose answers are near those found, or None if these are right."""
    apart, tolerance = distances(expected, found), expected["tolerance"]
    right = apart.pop("right")
    if right <= tolerance:  # NaN is not
        return None
    differ = f"the answers differ by {right:.3f}, allowed {tolerance:.3f}"
    nearest = min(apart, key=apart.get, default=None)
    if nearest and apart[nearest] <= right / 2:
        return f"{nearest}: {mistakes[nearest]} ({differ})"
    return f"unknown: {differ}; they are not those of a known mistake"


def distances(expected, found):
    """The distances of the answers from the right ones and from each mistake's.

    The mean over the images of the largest difference of a probability.
    """
    return {
        name: np.mean(
            [
                np.abs(scores[answer["classes"]] - answer["probabilities"][name]).max()
                for answer, scores in zip(expected["answers"], found, strict=True)
            ]
        )
        for name in expected["answers"][0]["probabilities"]
    }
