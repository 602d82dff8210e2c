"""Plans of searches whose trainings cost nothing: their seconds are planted."""

import re
from dataclasses import replace

import pytest
from tuning_parts import job

from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.errors import UserError
from googlenet_keras.files import append_json_line
from googlenet_keras.tuning import planning, trials
from googlenet_keras.tuning.oracle import trial_epochs
from googlenet_keras.tuning.planning import (
    Pace,
    describe_duration,
    divide,
    forecast_search,
    measure_pace,
    plan_race,
    plan_searches,
)
from googlenet_keras.tuning.trials import TrialLog

EPOCHS, EPOCH_SECONDS, TRAINING_SECONDS = 4, 10.0, 50.0
FIGURES = {
    **{"loss": 0.5, "top1": {"main": 0.8}, "images": 9, "epochs": EPOCHS},
    **{"seconds": TRAINING_SECONDS, "cpu_seconds": 1.0, "peak_megabytes": None},
}


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    for module in (planning, trials):
        monkeypatch.setattr(module, "time", made)
    return made


def search(folder, **options):
    """A search whose network of even width was trained in 50 s, 10 s an epoch."""
    folder.mkdir(exist_ok=True)
    options = {"tuner": "random", "epochs": EPOCHS, "trials": 12} | options
    searched = job(folder, macs=30e6, **options)
    TrialLog(searched).add("uniform", "baseline", searched.space.base, **FIGURES)
    figures = {"top1": 0.5, "top5": None, "loss": 1.0}
    half = {"loss": 1.0, "main": figures}
    for number in range(1, EPOCHS + 1):
        line = {"epoch": number, "seconds": EPOCH_SECONDS, "train": half}
        line |= {"learning_rate": 0.1, "images_per_second": 9.0, "validation": half}
        path = searched.folder.trials / "uniform" / "metrics.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        append_json_line(path, line)
    return searched


def add_trial(log, name, **changes):
    figures = FIGURES | {"hyperparameters": {}} | changes
    log.add(name, "completed", BATCH_NORM.scale_width(0.25), **figures)


def add_race(log, network, number, **changes):
    facts = {"network": network, "round": number}
    name, arch = f"{network}-round-{number}", BATCH_NORM.scale_width(0.25)
    log.add(name, "race", arch, **FIGURES | facts | changes)


def planned(searched, seconds):
    (found,) = plan_searches([searched], seconds)
    return found.config.trials, found.config.finalists


def test_the_pace_is_that_of_even_widths_epochs(tmp_path):
    searched = search(tmp_path)
    pace = measure_pace(searched, TrialLog(searched))
    assert pace == Pace(once=10.0, epoch=10.0)
    assert pace.training(18) == 190.0
    (searched.folder.trials / "uniform" / "metrics.jsonl").unlink()
    assert measure_pace(searched, TrialLog(searched)) == Pace(0.0, 12.5)


def test_trials_are_fewer_first_and_finalists_last(tmp_path, capsys):
    searched = search(tmp_path)
    # 11 trials beside even width, and 3 rounds of 4 networks, of 50 s each
    assert planned(searched, float("inf")) == (12, 3)
    shown = "12 trials of 4 epochs, race of 4 networks, 3 rounds: about 19 min\n"
    assert capsys.readouterr().out.endswith(shown)
    assert planned(searched, 23 * 50.0) == (12, 3)
    assert planned(searched, 23 * 50.0 - 1) == (11, 3)
    assert planned(searched, 15 * 50.0) == (4, 3)
    assert planned(searched, 15 * 50.0 - 1) == (4, 2)
    assert planned(searched, 9 * 50.0) == (4, 1)
    without = replace(searched, config=replace(searched.config, finalists=0))
    assert planned(without, 3 * 50.0) == (4, 0)


def test_what_cannot_fit_is_said_with_the_way_out(tmp_path):
    searched = search(tmp_path)
    with pytest.raises(UserError) as error:
        plan_searches([searched], 170.0)
    assert re.fullmatch(
        r"a search within --minutes has at least 4 trials of 4 epochs, race of 2 "
        r"networks, 3 rounds; these take about 8 min, and 3 min are left for them\. "
        r"Add at least 5 to --minutes with \S.* --resume --run-folder \S+, or leave "
        r"out the race with --finalists 0, or start another search with fewer "
        r"--epochs\.",
        str(error.value),
    )


def test_the_training_of_the_winner_counts(tmp_path):
    searched = search(tmp_path, retrain=True, retrain_epochs=9)
    assert planned(searched, 23 * 50.0 + 100) == (12, 3)
    assert planned(searched, 23 * 50.0 + 99) == (11, 3)
    done = searched.folder.path / "retrained-1-9-epochs"
    done.mkdir()
    (done / "result.json").write_text("{}")
    assert planned(searched, 23 * 50.0) == (12, 3)


def test_what_is_trained_costs_nothing_more(tmp_path):
    searched = search(tmp_path)
    log = TrialLog(searched)
    for number in range(8):
        add_trial(log, f"{number:02}")
    assert planned(searched, 16 * 50.0) == (12, 3)
    assert planned(searched, 15 * 50.0) == (11, 3)
    assert planned(searched, 6 * 50.0) == (8, 1)
    with pytest.raises(UserError, match="at least 8 trials"):
        planned(searched, 100.0)
    # the trials are over, and a race that has begun is run
    for network in ("uniform", "1", "2"):
        add_race(log, network, 1)
    assert planned(searched, 100.0) == (8, 2)


def test_a_search_that_has_ended_is_not_refused(tmp_path):
    searched = search(tmp_path, finalists=0)
    log = TrialLog(searched)
    for number in range(8):
        add_trial(log, f"{number:02}")
    assert planned(searched, -100.0) == (8, 0)  # the minutes are over
    lower = replace(searched, config=replace(searched.config, trials=5, finalists=3))
    assert planned(lower, float("inf")) == (5, 3)


def test_hyperbands_trials_have_the_epochs_that_it_gives_them(tmp_path):
    searched = search(tmp_path, tuner="hyperband")
    # sizes 4, 2, 1 of bracket 2; 3, 2 of bracket 1; 3 of bracket 0, cut at 12
    bracket = [1, 1, 1, 1, 2, 2, 4]
    assert trial_epochs(searched.config, []) == [*bracket, 2, 2, 2, 4, 4]
    fewer = replace(searched.config, trials=6)
    assert trial_epochs(fewer, []) == [2, 2, 2, 4, 4, 4]
    # of a search that has begun with 12
    row = {"hyperparameters": {"tuner/bracket": 2}}
    assert trial_epochs(fewer, [row]) == bracket[:6]
    log = TrialLog(searched)
    add_trial(log, "00", epochs=1, hyperparameters={"tuner/bracket": 2})
    # 5 shorter trainings and one of all epochs, then a race of 2 networks
    assert planned(searched, 3 * 20 + 2 * 30 + 50 + 6 * 50.0) == (7, 1)


def test_several_searches_divide_the_time_by_their_cost(tmp_path, capsys):
    first, second = search(tmp_path / "a"), search(tmp_path / "b")
    log = TrialLog(second)
    log.rows[0]["seconds"] = 110.0  # 70 s once
    log.remove("")  # writes the rows
    plans = plan_searches([replace(first, name="macs-2M"), second], 20 * 160.0)
    assert [x.config.trials for x in plans] == [9, 9]  # 20 of 23 trainings each
    assert "macs-2M: 9 trials of 4 epochs" in capsys.readouterr().out
    assert divide(12.0, [3, 1]) == [9, 3]
    assert divide(12.0, [0, 0]) == [6, 6]
    assert divide(float("inf"), [1, 0]) == [float("inf"), 0]


def test_each_line_says_the_time_left(tmp_path, capsys, clock):
    searched = search(tmp_path, trials=4, finalists=1)
    log = TrialLog(searched)
    log.forecast = forecast_search(searched, log)
    add_trial(log, "0", seconds=0.0)  # even width, trained already
    assert capsys.readouterr().out.endswith("; about 8 min left\n")  # 9 of 50 s
    clock.now += 100.0  # twice as long as even width
    add_trial(log, "1")
    assert "trial 1, 2 of 4: " in (shown := capsys.readouterr().out)
    assert shown.endswith("; about 13 min left\n")  # 8 of 100 s
    clock.now += 100.0
    log.add("2", "failed", BATCH_NORM, reason="out of memory.")
    add_trial(log, "3", seconds=0.0)
    assert capsys.readouterr().out.endswith("; about 10 min left\n")  # 6 of 100 s
    for number in (1, 2, 3):
        for network in ("uniform", "1"):
            clock.now += 100.0
            add_race(log, network, number)
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].endswith("about 3 min left")
    assert "left" not in lines[-1]


def test_networks_that_leave_the_race_take_no_more_time(tmp_path, clock):
    searched = search(tmp_path, trials=1)
    log = TrialLog(searched)
    forecast = forecast_search(searched, log)
    for number in (1, 2):
        for network in ("uniform", "1", "2", "3"):
            add_race(log, network, number)
    assert forecast.seconds() == 0.0  # the clock stands still
    clock.now += 8 * 50.0
    assert forecast.seconds() == 4 * 50.0
    forecast.racers = 2
    assert forecast.seconds() == 2 * 50.0


def test_a_late_search_races_with_fewer_finalists(tmp_path, capsys, clock):
    searched = search(tmp_path, trials=1)
    log = TrialLog(searched)
    forecast = forecast_search(searched, log)
    assert plan_race(searched, log, forecast, 12 * 50.0).config.finalists == 3
    assert plan_race(searched, log, forecast, 11 * 50.0).config.finalists == 2
    assert "2 of 3 finalists race: the trials took longer" in capsys.readouterr().out
    forecast = forecast_search(searched, log)
    assert plan_race(searched, log, forecast, 0.0).config.finalists == 1
    assert "about 5 min longer than --minutes allows" in capsys.readouterr().err
    add_race(log, "uniform", 1)
    assert plan_race(searched, log, forecast, 0.0) is searched


def test_the_time_before_resuming_counts(tmp_path, clock):
    searched = job(tmp_path, macs=30e6)
    log = TrialLog(searched)
    clock.now += 30.0
    add_trial(log, "0")
    clock.now += 999.0  # of a training that was killed, and of the night
    again = TrialLog(searched)
    assert again.seconds == 30.0
    clock.now += 5.0
    add_trial(again, "1")
    assert [row["search_seconds"] for row in TrialLog(searched).rows] == [30.0, 35.0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (48 * 60, "48 min"),
        (6720, "1 h 52 min"),
    ],
)
def test_durations(seconds, text):
    assert describe_duration(seconds) == text
