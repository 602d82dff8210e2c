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

SET_COLUMNS = ("labels_90", "labels_95", "refused")
SET_SEPARATOR = "|"  # of the labels in a cell of CSV


class LabelProbability(TypedDict):
    """A label with its probability, a fraction of 1."""

    label: str
    probability: float


class PredictionRow(TypedDict):
    """An image's line of JSON; the lists are empty if there is a problem.

    labels_90, labels_95: as in a Prediction, of a calibrated network. refused: as of
    none of the classes.
    """

    path: str | None
    top: list[LabelProbability]
    labels_90: list[str]
    labels_95: list[str]
    refused: bool
    problem: str | None


class LineFormat(NamedTuple):
    """A format with one line for each prediction, and a header or none."""

    header: str
    line: Callable[[Prediction], str]


def csv_format(labels: int) -> LineFormat:
    """CSV with columns for so many labels."""
    numbers = range(1, labels + 1)
    columns = [name for i in numbers for name in (f"label_{i}", f"probability_{i}")]
    header = _csv(["path", "problem", *columns, *SET_COLUMNS])
    return LineFormat(header, partial(_csv_line, labels=labels))


def _csv_line(prediction: Prediction, labels: int) -> str:
    path, problem = prediction.path or "", prediction.problem or ""
    cells = [cell for pair in prediction.top[:labels] for cell in pair]
    empty = [""] * (2 * labels - len(cells))
    sets = (prediction.labels_90, prediction.labels_95)
    refused = "yes" if prediction.is_refused else ""
    texts = map(SET_SEPARATOR.join, sets)
    return _csv([path, problem, *cells, *empty, *texts, refused])


def _csv(cells: list[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(printable, cells))
    return line.getvalue()


def _json_line(prediction: Prediction) -> str:
    """A prediction as one line of JSON, which is ASCII."""
    path = prediction.path
    labels = [
        LabelProbability(label=_text(label), probability=probability)
        for label, probability in prediction.top
    ]
    row = PredictionRow(
        path=_text(path) if path else None,
        top=labels,
        labels_90=[_text(label) for label in prediction.labels_90],
        labels_95=[_text(label) for label in prediction.labels_95],
        refused=prediction.is_refused,
        problem=prediction.problem,
    )
    return json.dumps(row) + "\n"


def _text(value: object) -> str:
    return printable(value, NOT_UNICODE)


JSON_LINES = LineFormat("", _json_line)
