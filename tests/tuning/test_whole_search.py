"""Whole searches whose trainings are planted: what they leave, killed and resumed.

Those of tests/tuning/test_search.py train, in processes that are killed.
"""

from dataclasses import asdict

import numpy as np
import pytest
from making import call_main, two_modules
from tuning_parts import IMAGES, figures, model, this_process

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.commands.search import main
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, read_json_lines, write_json
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.tuning import proposals, trainings
from googlenet_keras.tuning.image_results import ImageResults
from googlenet_keras.tuning.latency import Task, latency_cache_file

BASE = two_modules().scale_width(4)
ROUNDS = ("uniform-round-{}", "1-round-{}")


class Killed(BaseException):
    """Stands for a signal: it is no Exception, so that nothing catches it."""


class Trainings:
    """Trainings that take no time; a network's name decides its losses.

    names, options: of those that were not killed. left: how many are done before one is
    killed.
    """

    def __init__(self):
        self.names, self.options, self.left = [], {}, 99

    def train(self, job, name, arch, factor, split="validation", **options):
        if not self.left:
            raise Killed
        self.left -= 1
        self.names.append(f"{job.prefix}{name}")
        self.options[name] = options
        loss = np.random.default_rng([*name.encode()]).uniform(0.5, 1.5, IMAGES)
        path = job.folder.image_results(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        result = ImageResults(loss.astype(np.float32), loss < 1, f"{options}")
        result.save(path)
        found = figures(float(result.loss.mean()), float(result.correct.mean()))
        return found | {"epochs": options["epochs"]}


@pytest.fixture
def planted(monkeypatch):
    """The trainings, on a machine that was measured before."""
    made = Trainings()
    monkeypatch.setattr(trainings, "_train_in_child", made.train)
    monkeypatch.setattr(proposals, "child_process", this_process)
    path = latency_cache_file(BASE, Task(10, (32,)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(model()))
    return made


@pytest.fixture
def search(tmp_path):
    """Searches for networks of two modules in a folder of this name."""
    write_json(tmp_path / "search.json", BASE.to_json())

    def search(name, *options):
        call_main(
            main,
            *("--recipe", "smoke", "--architecture", str(tmp_path / "search.json")),
            *("--width", "1", "--level", "fine", "--tuner", "random", "--baselines"),
            *("--run-folder", str(tmp_path / name), *options),
        )
        return tmp_path / name

    return search


def resume(folder, *options):
    call_main(main, "--resume", "--run-folder", str(folder), *options)


def kill_and_resume(planted, folder, start, after):
    """Calls `start` and resumes it; each is killed after so many trainings.

    Then resumes it to its end.
    """
    for call in (start, lambda: resume(folder)):
        planted.left = after
        with pytest.raises(Killed):
            call()
    planted.left = 99
    resume(folder)


@pytest.mark.slow
def test_a_search_that_is_killed_ends_as_one_that_is_not(
    planted, search, run_folder, tmp_path, capsys
):
    options = ("--max-macs", "3M", "--trials", "3", "--finalists", "1")
    options += ("--propose-from", str(run_folder))
    whole = search("whole", *options)
    names, planted.names = planted.names, []
    races = [name.format(number) for number in (1, 2, 3) for name in ROUNDS]
    assert names[:3] == ["uniform", "1", "2"]  # trial 0 is of even width
    assert [x.replace(x[0], "1", 1) if x[0] == "2" else x for x in names[3:]] == races
    capsys.readouterr()
    killed = tmp_path / "killed"
    kill_and_resume(planted, killed, lambda: search("killed", *options), after=4)
    assert planted.names == names  # nothing is repeated
    assert capsys.readouterr().out.count("which channels it needs") == 1
    for file in ("result.json", "best_architecture.json"):
        assert lasting(read_json(killed / file)) == lasting(read_json(whole / file))
    check_outcome(whole, planted.options)
    check_resumed_without_training(planted, killed)


def lasting(found):
    """A result without its times and its memory, which no two searches share."""
    if isinstance(found, list):
        return [lasting(x) for x in found]
    if not isinstance(found, dict):
        return found
    return {k: lasting(v) for k, v in found.items() if not k.startswith("search_")}


def check_outcome(folder, options):
    """Even width was trained once, and the race's rounds have images of their own."""
    rows = {row["trial"]: row for row in read_json_lines(folder / "trials.jsonl")}
    assert [rows[name]["proposal"] for name in "012"] == [
        *("uniform", "gammas", "clusters")
    ]
    assert rows["0"]["loss"] == rows["uniform"]["loss"]
    assert (rows["0"]["seconds"], (folder / "trials" / "0").exists()) == (0, False)
    assert all(rows[name]["macs"] <= 3e6 for name in "012")
    result = read_json(RunFolder(folder).result)
    assert [row["trial"] for row in result["baselines"]] == ["uniform"]
    verdict = result["verdict"]
    winner = verdict["trial"] if verdict["is_better"] else "uniform"
    assert result["best"]["trial"] == winner
    assert read_json(folder / "best_architecture.json") == rows[winner]["architecture"]
    assert (folder / "pareto.png").read_bytes()[:4] == b"\x89PNG"
    for number in (1, 2, 3):
        found = options[f"uniform-round-{number}"]
        parts = [found[name] for name in ("seed", "folds", "fold", "fold_seed")]
        assert parts == [number, 5, number, 0]


def check_resumed_without_training(planted, folder):
    """A finished search is opened again, by one process at a time."""
    planted.left, before = 0, (folder / "trials.jsonl").read_text()
    with (
        RunFolder(folder).lock(),
        pytest.raises(UserError, match="one process at a time"),
    ):
        resume(folder)
    resume(folder)
    assert (folder / "trials.jsonl").read_text() == before


@pytest.mark.slow
def test_a_family_that_is_killed_ends_as_one_that_is_not(
    planted, search, tmp_path, capsys
):
    options = ("--max-macs", "3M", "2M", "--trials", "3", "--finalists", "0")
    options += ("--minutes", "600")
    whole = search("whole", *options)
    names, planted.names = planted.names, []
    assert names[:2] == ["macs-3M: uniform", "macs-2M: uniform"]  # of all, first
    capsys.readouterr()
    killed = tmp_path / "killed"
    kill_and_resume(planted, killed, lambda: search("killed", *options), after=2)
    assert planted.names == names
    shown = capsys.readouterr().out
    assert "budget 2 of 2: macs-2M" in shown
    assert "macs-2M: 3 trials of 1 epochs: about " in shown
    result = read_json(killed / "result.json")
    assert lasting(result) == lasting(read_json(whole / "result.json"))
    large, small = (row["best"]["row"]["macs"] for row in result["budgets"])
    assert small <= 2e6 < large <= 3e6


@pytest.mark.parametrize("passed", [True, False])
def test_the_winner_is_retrained_and_the_status_says_if_a_check_failed(
    planted, search, monkeypatch, passed
):
    retrained = []

    def train_and_export(config):
        retrained.append(config)
        return passed

    monkeypatch.setattr(trainings, "child_process", this_process)
    monkeypatch.setattr(trainings, "_train_and_export", train_and_export)
    folder = search("found", "--max-macs", "3M", "--trials", "2", "--finalists", "0")
    if passed:
        resume(folder, "--retrain", "--retrain-epochs", "3")
    else:
        with pytest.raises(SystemExit) as end:
            resume(folder, "--retrain", "--retrain-epochs", "3")
        assert end.value.code == 1
    best = read_json(folder / "result.json")["best"]
    (config,) = retrained
    assert config.run_folder == folder / f"retrained-{best['trial']}-3-epochs"
    assert (config.epochs, config.resume) == (3, True)
    found = Architecture.from_json(best["architecture"])
    assert config.to_architecture() == found
