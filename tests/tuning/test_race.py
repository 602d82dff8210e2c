"""Races whose trainings cost nothing: their losses are planted."""

import re

import numpy as np
import pytest
from tuning_parts import IMAGES, Planted

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json
from googlenet_keras.processes import ProcessError
from googlenet_keras.tuning.networks import Networks
from googlenet_keras.tuning.outcome import write_result
from googlenet_keras.tuning.race import Race
from googlenet_keras.tuning.trials import TrialLog
from googlenet_keras.tuning.verdict import judge_race


class Killed(BaseException):
    """What is no Exception, as a signal is none: nothing may catch it."""


def test_where_nothing_is_better_even_width_is_handed_over(tmp_path, capsys):
    search = Planted(tmp_path)
    race = search.run()
    result = write_result(Networks(search.job, search.log, race))
    assert result["best"]["trial"] == "uniform"
    found = Architecture.from_json(read_json(search.job.folder.best_architecture))
    assert found == search.job.space.base
    verdict = result["verdict"]
    assert not verdict["is_better"]
    low, high = verdict["difference"]["loss_interval"]
    assert low < verdict["difference"]["loss"] < high
    assert high > 0
    assert re.fullmatch(
        r"no network found is better than GoogLeNet of even width with confidence: "
        r"the nearest, trial \d, has loss (lower|higher) by 0\.\d{3} \(-0\.\d{3} to "
        r"0\.\d{3}\), top-1 \w+ by [\d.]+ points \(-[\d.]+ to [\d.]+\), on \d{3} "
        r"images of \d rounds; best_architecture.json is the one of even width",
        verdict["sentence"],
    )
    assert verdict["sentence"] in capsys.readouterr().out


def test_a_planted_better_network_is_found_and_said(tmp_path):
    search = Planted(tmp_path, trial_2=0.1, trial_0=-0.004)
    result = write_result(Networks(search.job, search.log, search.run()))
    assert result["best"]["trial"] == "2"
    found = Architecture.from_json(read_json(search.job.folder.best_architecture))
    assert found == BATCH_NORM.scale_width(0.2)
    assert re.match(
        r"trial 2 is better than GoogLeNet of even width: loss lower by 0\.(09|1)\d+ "
        r"\(0\.0\d\d to 0\.1\d\d\), top-1 higher by [\d.]+ points \(.* to [\d.]+\), "
        r"on 800 images of 4 rounds$",
        result["verdict"]["sentence"],
    )
    assert result["verdict"]["difference"]["images"] == 4 * IMAGES
    racers = {row["trial"]: row for row in result["race"]}
    assert list(racers) == ["uniform", "0", "1", "2"]
    assert [row["images"] for row in racers["2"]["rounds"]] == 4 * [IMAGES]
    assert racers["2"]["loss"] == pytest.approx(
        np.mean([row["loss"] for row in racers["2"]["rounds"]])
    )
    assert racers["uniform"]["difference"] is None
    assert search.job.folder.pareto.read_bytes()[:4] == b"\x89PNG"


def test_the_worse_leave_after_the_second_round_but_never_even_width(tmp_path):
    search = Planted(tmp_path, trial_0=0.4, trial_1=-0.3, trial_2=0.4)
    race = search.run()
    rounds = {racer.name: len(racer.rounds) for racer in race.racers}
    assert rounds == {"uniform": 4, "0": 4, "1": 2, "2": 4}
    (left,) = (racer.left for racer in race.racers if racer.left)
    assert re.fullmatch(r"worse than trial [02] after round 2, with 95 % .*", left)
    assert judge_race(race)["is_better"]


def test_a_race_ends_when_even_width_is_left_alone(tmp_path):
    gains = {f"trial_{number}": -1 for number in range(3)}
    search = Planted(tmp_path, **gains)
    race = search.run()
    assert len(search.trained) == 2 * 4
    verdict = judge_race(race)
    assert race.winner() is race.uniform
    assert "loss higher by 1.0" in verdict["sentence"]
    assert verdict["difference"]["rounds"] == 2


def test_a_killed_race_goes_on_and_repeats_nothing(tmp_path):
    whole = Planted(tmp_path / "whole", trial_1=0.1)
    whole.run()
    killed = Planted(tmp_path / "killed", trial_1=0.1)
    with pytest.raises(Killed):
        killed.run(lambda name: Killed() if len(killed.trained) == 7 else None)
    again = Planted(tmp_path / "killed", trial_1=0.1)
    race = again.run()
    assert killed.trained[:6] + again.trained == whole.trained
    assert judge_race(race) == judge_race(whole.run())


def test_a_finalist_that_fails_is_out_and_stays_out(tmp_path, capsys):
    def outcome(name):
        return ProcessError("out of memory.") if name == "0-round-2" else None

    search = Planted(tmp_path, trial_0=0.4)
    race = search.run(outcome)
    assert race.winner() is race.uniform
    assert race.racers[1].left == "its training failed: out of memory."
    assert "round 2, trial 0: failed: out of memory." in capsys.readouterr().out
    again = Planted(tmp_path)
    assert again.run().racers[1].left
    assert again.trained == []


def test_without_even_width_nothing_is_handed_over(tmp_path):
    def outcome(name):
        return ProcessError("out of memory") if name == "uniform-round-1" else None

    search = Planted(tmp_path, trial_0=0.4)
    with pytest.raises(UserError, match=r"failed: out of memory\..*finalists 0\.$"):
        search.run(outcome)
    assert not search.job.folder.best_architecture.exists()
    again = Planted(tmp_path, trial_0=0.4)
    assert again.run().winner().name == "0"


@pytest.mark.parametrize("damage", ["missing", "cut", "another training's"])
def test_a_training_whose_results_are_damaged_is_repeated(tmp_path, damage, capsys):
    search = Planted(tmp_path, trial_1=0.1)
    expected = judge_race(search.run())
    file = search.job.folder.image_results("1-round-3")
    if damage == "missing":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:50])
    else:
        file.write_bytes(search.job.folder.image_results("1-round-2").read_bytes())
    again = Planted(tmp_path, trial_1=0.1)
    assert judge_race(again.run()) == expected
    assert again.trained == ["1-round-3"]
    assert "1-round-3 is trained again" in capsys.readouterr().err
    rows = TrialLog(search.job).rows
    assert sorted(x["trial"] for x in rows) == sorted(
        x["trial"] for x in search.log.rows
    )


def test_a_search_that_found_nothing_else_has_even_width(tmp_path):
    search = Planted(tmp_path)
    race = Race(search.job, search.log, [])
    race.run()
    assert race.winner() is race.uniform
    assert "no other network has run a round" in judge_race(race)["sentence"]


def test_more_rounds_go_on_where_the_race_ended(tmp_path):
    search = Planted(tmp_path, trial_1=0.1)
    search.run()
    object.__setattr__(search.job.config, "rounds", 5)
    search.trained = []
    assert len(search.run().uniform.rounds) == 5
    assert {name.split("-")[-1] for name in search.trained} == {"5"}
