import csv
import io
import json
import os
from pathlib import Path

import pytest

from googlenet_keras.evaluation.prediction_rows import JSON_LINES, csv_format
from googlenet_keras.predictor import Prediction

TOP = (("t-shirt", 0.75), ("caf\xe9", 0.125), ("c", 1e-9))
NOT_UTF_8 = Path(os.fsdecode(b"photos/caf\xe9.jpg"))
HOSTILE = "a,b\"c'\n\x1b[31m\u202e.jpg"


def test_a_line_of_json():
    assert JSON_LINES.header == ""
    line = JSON_LINES.line(Prediction(Path("photos/a.jpg"), TOP[:2]))
    assert line == (
        '{"path": "photos/a.jpg", "top": [{"label": "t-shirt", "probability": 0.75}, '
        '{"label": "caf\\u00e9", "probability": 0.125}], '
        '"labels_90": [], "labels_95": [], "refused": false, "problem": null}\n'
    )
    line = JSON_LINES.line(Prediction(None, (), "no image"))
    assert json.loads(line) == {
        "path": None,
        "top": [],
        "labels_90": [],
        "labels_95": [],
        "refused": False,
        "problem": "no image",
    }


def test_prediction_sets_are_lists_in_json_and_one_cell_in_csv():
    prediction = Prediction(Path("a"), TOP[:1], None, ("t-shirt",), ("t-shirt", "c"))
    row = json.loads(JSON_LINES.line(prediction))
    assert (row["labels_90"], row["labels_95"]) == (["t-shirt"], ["t-shirt", "c"])
    assert csv_format(1).line(prediction) == "a,,t-shirt,0.75,t-shirt,t-shirt|c,\n"


def test_what_is_refused_says_so():
    prediction = Prediction(Path("a"), TOP[:1], None, ("c",), ("c",), True)
    assert json.loads(JSON_LINES.line(prediction))["refused"] is True
    assert csv_format(1).line(prediction) == "a,,t-shirt,0.75,c,c,yes\n"


def test_rows_of_csv_have_the_columns_of_their_header():
    header, line = csv_format(2)
    labels = "label_1,probability_1,label_2,probability_2"
    assert header == f"path,problem,{labels},labels_90,labels_95,refused\n"
    path = Path("a.jpg")
    assert line(Prediction(path, TOP)) == "a.jpg,,t-shirt,0.75,caf\xe9,0.125,,,\n"
    assert line(Prediction(path, TOP[:1])) == "a.jpg,,t-shirt,0.75,,,,,\n"
    assert line(Prediction(None, (), "no image")) == ",no image,,,,,,,\n"


def test_json_has_names_as_they_are():
    line = JSON_LINES.line(Prediction(Path("photos") / HOSTILE, ((HOSTILE, 1.0),)))
    assert line.isascii()
    assert line[:-1].isprintable()
    row = json.loads(line)
    assert row["path"] == f"photos/{HOSTILE}"
    assert row["top"][0]["label"] == HOSTILE


def test_a_row_of_csv_is_one_line_whatever_the_names_are():
    line = csv_format(1).line(Prediction(Path("photos") / HOSTILE, ((HOSTILE, 1.0),)))
    assert line.count("\n") == 1
    ((path, problem, label, probability, *_),) = csv.reader(io.StringIO(line))
    escaped = "a,b\"c'\\n\\x1b[31m\\u202e.jpg"
    assert (path, label) == (f"photos/{escaped}", escaped)
    assert (problem, float(probability)) == ("", 1)


@pytest.mark.parametrize("line", [JSON_LINES.line, csv_format(1).line])
def test_names_that_are_not_utf_8_are_escaped(line):
    text = line(Prediction(NOT_UTF_8, (("\udce9", 1.0),)))
    text.encode()
    path, label = r"photos/caf\xe9.jpg", r"\xe9"
    if line is JSON_LINES.line:
        row = json.loads(text)
        assert (row["path"], row["top"][0]["label"]) == (path, label)
    else:
        assert text == f"{path},,{label},1.0,,,\n"


def test_probabilities_are_not_rounded():
    probability = 0.1 + 0.2
    prediction = Prediction(Path("a"), (("b", probability),))
    assert json.loads(JSON_LINES.line(prediction))["top"][0]["probability"] == (
        probability
    )
    assert float(csv_format(1).line(prediction).split(",")[3]) == probability


def test_what_a_spreadsheet_takes_for_a_formula_is_unchanged():
    prediction = Prediction(Path("=1+1.jpg"), (("@sum", 1.0), ("-1", 0.0)))
    assert csv_format(2).line(prediction) == "=1+1.jpg,,@sum,1.0,-1,0.0,,,\n"
