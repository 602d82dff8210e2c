from pathlib import Path

from googlenet_keras.evaluation.compare import Comparison
from googlenet_keras.evaluation.tables import (
    print_classes,
    print_comparison,
    print_figures,
    print_predictions,
)
from googlenet_keras.predictor import Prediction

HOSTILE, ESCAPED = (
    "[red]\x1b[31m\x07\u202e\udce9\n:cat:",
    (r"[red]\x1b[31m\x07\u202e\xe9\n:cat:"),
)
FIGURES = {
    "images": 300,
    "main": {"top1": 0.5, "intervals": {"top1": (0.444, 0.556)}, "loss": 1.25},
}


def test_predictions_show_names_and_labels_escaped(capsys):
    path = Path("photos") / f"{HOSTILE}.jpg"
    print_predictions([
        Prediction(path, ((HOSTILE, 0.75), ("b", 0.25))),
        Prediction(path, ()),
    ])  # fmt: skip
    _, _, first, second = capsys.readouterr().out.splitlines()
    assert f"photos/{ESCAPED}.jpg" in first
    assert first.rstrip().endswith(f"{ESCAPED} 75.0%, b 25.0%")
    assert second.rstrip().endswith("no image")


def test_prediction_sets_have_a_column(capsys):
    many = tuple("abcdefg")
    print_predictions([
        Prediction(Path("x"), (("a", 0.5),), None, ("a", "b"), many),
        Prediction(Path("y"), (("a", 0.5),), None, many, many),
        Prediction(Path("z"), (), "no image"),
        Prediction(Path("r"), (("a", 0.5),), None, ("a",), many, True),
    ])  # fmt: skip
    title, _, *rows = capsys.readouterr().out.splitlines()
    assert title.rstrip().endswith("prediction set")
    assert rows[0].rstrip().endswith("a or b")
    assert rows[1].rstrip().endswith("a or b or c or d or e or 2 more")
    assert rows[2].split() == ["z", "no", "image"]
    assert rows[3].rstrip().endswith("none of these")


def test_classes_show_their_names_escaped(capsys):
    row = {"images": 3, "precision": 0.5, "recall": 0.25, "f1": 0.3333}
    print_classes({HOSTILE: row})
    *_, line = capsys.readouterr().out.splitlines()
    assert line.split() == [ESCAPED, "3", "0.5000", "0.2500", "0.3333"]


def test_figures_have_their_interval_below(capsys):
    print_figures({HOSTILE: FIGURES, "test": None})
    _, _, figures, interval = capsys.readouterr().out.splitlines()
    assert figures.split() == [
        ESCAPED,
        "300",
        "main",
        "0.5000",
        "-",
        "-",
        "1.2500",
        "-",
    ]
    assert interval.split() == ["0.444", "to", "0.556"]


def test_a_sentence_says_what_prediction_sets_are_worth(capsys):
    sets = {"coverage_90": 0.905, "coverage_95": 0.95}
    sizes = {"set_size_90": 1.239, "set_size_95": 1.8}
    print_figures(
        {"test": {"images": 300, "main": {**FIGURES["main"], **sets, **sizes}}}
    )
    assert capsys.readouterr().out.splitlines()[-1] == (
        "test: prediction sets for 90 and 95 % of the images cover 90.5% and 95.0%, "
        "with 1.24 and 1.80 labels on average"
    )


def test_a_comparison_shows_names_and_values_escaped(capsys):
    results = {HOSTILE: ("test", FIGURES), "other": ("test", FIGURES)}
    print_comparison(Comparison(results, {"dataset": [HOSTILE, "digits"]}, {}))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["option", ESCAPED, "other"]
    assert lines[2].split() == ["dataset", ESCAPED, "digits"]
    assert any(line.startswith(f"{ESCAPED}, test") for line in lines)
