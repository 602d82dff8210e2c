import json

import pytest
from making import two_modules
from tuning_parts import job

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, read_json_lines
from googlenet_keras.tuning import finalists, outcome
from googlenet_keras.tuning.networks import Networks
from googlenet_keras.tuning.trials import TrialLog

WIDE, NARROW = two_modules().scale_width(8), two_modules()


def figures(loss):
    top1s = dict.fromkeys(("main", "aux1", "aux2"), 0.5)
    times = {"seconds": 3.0, "cpu_seconds": 4.0, "peak_megabytes": None}
    return {"loss": loss, "top1": top1s, "images": 40, "epochs": 2, **times}


@pytest.fixture
def trials(tmp_path):
    """A wide network that is a little better than a narrow one, and a failure."""
    log = TrialLog(job(tmp_path, trials=3))
    log.add("0", "completed", NARROW, **figures(0.7), learning_rate_factor=1.0)
    log.add("1", "completed", WIDE, **figures(0.6), learning_rate_factor=1.0)
    log.add("2", "failed", WIDE, reason="out of memory.", learning_rate_factor=1.0)
    log.add("uniform", "baseline", NARROW, **figures(0.8))
    log.add("width-9", "baseline", WIDE, reason="out of memory.")
    return log


def test_the_best_is_written_drawn_and_counted(trials, tmp_path, capsys):
    searched = job(tmp_path)
    outcome.write_result(Networks(searched, trials, race=None))
    result = read_json(searched.folder.result)
    assert result["best"]["trial"] == "1"
    assert (result["race"], result["verdict"]["difference"]) == ([], None)
    assert "without a race it is not shown" in result["verdict"]["sentence"]
    assert (result["trials"], result["failed"]) == (2, 1)
    assert [row["trial"] for row in result["baselines"]] == ["uniform"]
    assert (result["seconds"], result["cpu_seconds"]) == (9.0, 12.0)
    best = read_json(searched.folder.best_architecture)
    assert Architecture.from_json(best) == WIDE
    assert searched.folder.pareto.read_bytes()[:4] == b"\x89PNG"
    shown = capsys.readouterr().out
    assert result["verdict"]["sentence"] in shown
    assert "--resume --retrain --run-folder" in shown


@pytest.mark.slow
def test_a_limit_on_milliseconds_is_measured_once(
    trials, tmp_path, capsys, monkeypatch
):
    """Damaged measurements are made again."""
    limited = job(tmp_path, max_milliseconds=1000)
    limited.folder.measurements.write_text('{"1": "x"}')
    result = outcome.write_result(Networks(limited, trials, race=None))
    assert result["best"]["trial"] == "1"
    assert 0 < result["measured_milliseconds"] < 1000
    assert read_json(limited.folder.measurements).keys() == {"0", "1"}
    assert "ms measured" in capsys.readouterr().out
    # measured again, noise would choose
    monkeypatch.setattr(finalists.latency, "measure_milliseconds", None)
    impossible = job(tmp_path)
    impossible.budget.limits["milliseconds"] = 1e-6
    result = outcome.write_result(Networks(impossible, trials, race=None))
    assert result["best"]["trial"] == "0"
    assert "none of these keeps the limit" in capsys.readouterr().err


def test_a_search_without_a_trial_that_ended_says_why(tmp_path):
    trials = TrialLog(job(tmp_path))
    trials.add("0", "failed", WIDE, reason="out of memory.", learning_rate_factor=1.0)
    with pytest.raises(UserError, match=r"; 1 failed, the last since out of mem"):
        trials.check_any_completed()


def test_a_line_that_was_cut_is_dropped_and_written_anew(trials, tmp_path):
    path = tmp_path / "trials.jsonl"
    path.write_text(path.read_text() + '{"trial": "3", "sta')
    again = TrialLog(job(tmp_path))
    assert again.rows == [*read_json_lines(path)]
    assert len(again.rows) == 5
    assert "3" not in again


@pytest.mark.parametrize(
    "change",
    [
        *(5, "a", None, [], {"trial": 5}, {"trial": "../x"}, {"status": "done"}),
        *({"status": "failed"}, {"top1": None}, {"top1": {}}, {"top1": {"main": "x"}}),
        *({"loss": None}, {"loss": -1}, {"images": "x"}, {"top1": {"main": 7}}),
        *({"seconds": None}, {"macs": "many"}, {"epochs": 1.5}),
        *({"architecture": {}}, {"architecture": 5}, {"reason": "it failed"}),
    ],
)
def test_a_line_of_another_shape_is_dropped_with_a_warning(
    trials, tmp_path, capsys, change
):
    path = tmp_path / "trials.jsonl"
    first, *others = path.read_text().splitlines(keepends=True)
    damaged = json.loads(first) | change if isinstance(change, dict) else change
    path.write_text(json.dumps(damaged) + "\n" + "".join(others))
    again = TrialLog(job(tmp_path))
    assert [row["trial"] for row in again.rows] == ["1", "2", "uniform", "width-9"]
    assert len(path.read_text().splitlines()) == 4
    assert "trials.jsonl: line 1 is damaged" in capsys.readouterr().err


def test_the_log_of_an_older_version_is_refused_as_it_is(trials, tmp_path):
    path = tmp_path / "trials.jsonl"
    rows = read_json_lines(path)
    del rows[1]["loss"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"have none, since .* in a new --run-folder"):
        TrialLog(job(tmp_path))
    assert path.read_bytes() == before


def test_finalists_are_other_networks_of_the_longest_trials(tmp_path):
    searched = job(tmp_path, finalists=2)
    even, log = searched.space.base, TrialLog(searched)
    again = searched.space.to_architecture(searched.space.uniform_values())
    short = figures(0.1) | {"epochs": 1}
    for number, (arch, found, factor) in enumerate(
        [
            *[(again, figures(0.2), 1.0), (NARROW, short, 1.0)],
            *[(NARROW, figures(0.5), 1.0), (NARROW, figures(0.6), 1.0)],
            *[(WIDE, figures(0.9), 1.0), (even, figures(0.4), 2.0)],
        ]
    ):
        log.add(str(number), "completed", arch, **found, learning_rate_factor=factor)
    log.add("6", "failed", WIDE, reason="out of memory.", learning_rate_factor=1.0)
    found = finalists.choose_finalists(searched, log)
    assert [row["trial"] for row in found] == ["5", "2"]
