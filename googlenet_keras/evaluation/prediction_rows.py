r"""Predictions as lines of JSON and rows of CSV, one for each image.

JSON has paths and labels as they are, in JSON's escapes; CSV has one line for each
image, with control characters as the terminal shows them. In both, the bytes of a name
that are not UTF-8 are written as in caf\xe9.jpg. Nothing is changed for the sake of a
spreadsheet, which takes a text that begins with = + - or @ for a formula.
"""

import csv
import io
import json
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypedDict

from googlenet_keras.console import NOT_UNICODE, printable
from googlenet_keras.predictor import Prediction


class LabelProbability(TypedDict):
    """A label with its probability, a fraction of 1."""

    label: str
    probability: float


class PredictionRow(TypedDict):
    """An image's line of JSON; `top` is empty if there is a problem."""

    path: str | None
    top: list[LabelProbability]
    problem: str | None


class LineFormat(NamedTuple):
    """A format with one line for each prediction, and a header or none."""

    header: str
    line: Callable[[Prediction], str]


def csv_format(labels: int) -> LineFormat:
    """CSV with columns for so many labels."""
    numbers = range(1, labels + 1)
    columns = [name for i in numbers for name in (f"label_{i}", f"probability_{i}")]
    header = _csv(["path", "problem", *columns])
    return LineFormat(header, partial(_csv_line, labels=labels))


def _csv_line(prediction: Prediction, labels: int) -> str:
    path, problem = prediction.path or "", prediction.problem or ""
    cells = [cell for pair in prediction.top[:labels] for cell in pair]
    empty = [""] * (2 * labels - len(cells))
    return _csv([path, problem, *cells, *empty])


def _csv(cells: list[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(printable, cells))
    return line.getvalue()


def _json_line(prediction: Prediction) -> str:
    """A prediction as one line of JSON, which is ASCII."""
    path = prediction.path
    labels = [
        LabelProbability(label=printable(label, NOT_UNICODE), probability=probability)
        for label, probability in prediction.top
    ]
    row = PredictionRow(
        path=printable(path, NOT_UNICODE) if path else None,
        top=labels,
        problem=prediction.problem,
    )
    return json.dumps(row) + "\n"


JSON_LINES = LineFormat("", _json_line)
