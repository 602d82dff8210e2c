import json
import shutil
from pathlib import Path

import pytest

from googlenet_keras.cli import main
from googlenet_keras.errors import UserError

FINISHED = Path(__file__).parents[1] / "fixtures" / "0fb9b65" / "finished"


@pytest.fixture
def two_runs(tmp_path):
    """Two finished runs, whose second has another seed."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        for file in ("config.json", "metrics.jsonl", "result.json"):
            shutil.copy(FINISHED / file, tmp_path / name)
    edit(tmp_path / "second" / "config.json", {"seed": 7})
    return tmp_path / "first", tmp_path / "second"


def edit(path, change):
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_runs_of_an_older_version_are_compared(two_runs, tmp_path, capsys):
    page = tmp_path / "c.html"
    main(["compare", *map(str, two_runs), "--report", str(page)])
    out = capsys.readouterr().out
    assert "seed" in out
    assert "0.3767" in out  # the test top-1 of both
    assert page.read_text().count("0.3767") == 2


FIGURES = {"images": 300, "main": {"top1": 0.5}}


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("result.json", {"validation": 5}),
        ("result.json", {"validation": None}),
        ("result.json", {"test": []}),
        ("result.json", {"test": {"images": 3}}),
        ("result.json", {"test": FIGURES | {"images": "many"}}),
        ("result.json", {"test": FIGURES | {"main": 0.5}}),
        ("result.json", {"test": FIGURES | {"main": {"top1": "0.5"}}}),
        ("result.json", {"test": FIGURES | {"main": {"loss": [1]}}}),
        ("result.json", {"test": FIGURES | {"main": {"intervals": 5}}}),
        ("result.json", {"test": FIGURES | {"main": {"intervals": {"top1": [1]}}}}),
        ("config.json", {"widths": 5}),
        ("config.json", {"widths": {"conv1_7x7_s2": "8"}}),
        ("metrics.jsonl", "5"),
        ("metrics.jsonl", "null"),
        ("metrics.jsonl", '{"epoch": 1}'),
        ("metrics.jsonl", '{"epoch": 1, "validation": {"main": {"top1": "x"}}}'),
        ("metrics.jsonl", None),
    ],
)
def test_damaged_figures_are_one_message_that_names_the_file(
    two_runs, tmp_path, file, change
):
    path = two_runs[1] / file
    if isinstance(change, dict):
        edit(path, change)
    elif change:
        path.write_text(f"{change}\n")
    else:
        path.unlink()
    with pytest.raises(UserError, match=f"second/{file}"):
        main(["compare", *map(str, two_runs), "--report", str(tmp_path / "c.html")])
    assert not (tmp_path / "c.html").exists()
