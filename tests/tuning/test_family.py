"""Searches for several budgets; only one test trains."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest
from making import ROOT, small_run, two_modules, write_photos
from tuning_parts import Planted, model

from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.tuning import job as jobs
from googlenet_keras.tuning import latency, search
from googlenet_keras.tuning.config import SearchConfig
from googlenet_keras.tuning.family import Family, prepare_family, write_family_result
from googlenet_keras.tuning.networks import Networks
from googlenet_keras.tuning.outcome import FinishedSearch, write_result

PATIENCE = 480  # seconds


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A search for two budgets on a machine that was measured before."""
    monkeypatch.setattr(jobs, "load_latency_model", lambda *_: model(classes=2))
    data = write_photos(tmp_path / "data", {"a": 4, "b": 4})
    return SearchConfig(
        small_run(None, data, image_size=(32,)),
        max_macs=("1200k", "800k"),
        run_folder=tmp_path / "family",
        minutes=30,
    )


def test_each_budget_has_a_search_of_its_own(config):
    family = prepare_family(config)
    with family.lock():
        family.save_options()
        for job in family.jobs:
            job.save_options()
    assert [job.name for job in family.jobs] == ["macs-1200k", "macs-800k"]
    for job in family.jobs:
        assert job.folder.path == config.run_folder / job.name
        own = SearchConfig.from_json(read_json(job.folder.config))
        assert own.limits() == job.budget.limits
        assert (own.epochs, own.minutes) == (1, 0)  # resolved; the family's
        assert job.folder.latency.is_file()
    large, small = (job.budget.costs.of(job.space.base, "macs") for job in family.jobs)
    assert small <= 8e5 < large <= 1.2e6
    stored = SearchConfig.from_json(read_json(config.run_folder / "config.json"))
    assert (stored.max_macs, stored.minutes) == (("1200k", "800k"), 30)
    with pytest.raises(UserError, match="never overwritten"):
        prepare_family(config)


def test_a_family_is_resumed_with_what_it_had_begun(config):
    family = prepare_family(config)
    family.save_options()
    family.jobs[0].save_options()  # killed before the second one's
    stored = SearchConfig.from_json(read_json(config.run_folder / "config.json"))
    again = prepare_family(
        replace(stored, run_folder=config.run_folder, resume=True, trials=20)
    )
    assert [job.config.resume for job in again.jobs] == [True, False]
    assert [job.config.trials for job in again.jobs] == [20, 20]
    assert again.jobs[1].folder.environment.is_file()
    # a budget's search is one as any other
    alone = prepare_family(replace(again.jobs[0].config, resume=True))
    assert [job.name for job in alone.jobs] == [""]
    assert alone.jobs[0].space.base == again.jobs[0].space.base


def test_a_budget_that_is_too_small_is_refused_before_any_folder(config):
    with pytest.raises(UserError, match="8 filters everywhere"):
        prepare_family(replace(config, max_macs=("1200k", "1k")))
    assert not config.run_folder.exists()


def test_the_family_is_one_table_and_one_picture(config, tmp_path, capsys):
    folder = tmp_path / "made"
    folder.mkdir()
    finished = []
    for name, gains in (("macs-30M", {"trial_1": 0.1}), ("macs-20M", {})):
        planted = Planted(folder / name, **gains)
        job = replace(planted.job, name=name)
        networks = Networks(job, planted.log, planted.run())
        finished.append(FinishedSearch(networks, write_result(networks)))
    family = Family(
        config, jobs.SearchFolder(folder), [x.networks.job for x in finished]
    )
    capsys.readouterr()
    write_family_result(family, finished)
    result = read_json(folder / "result.json")
    large, small = result["budgets"]
    assert (large["budget"], small["budget"]) == ("macs-30M", "macs-20M")
    assert large["best"]["row"]["trial"] == "1"
    assert small["best"] == small["uniform"]
    race = {row["trial"]: row for row in finished[0].result["race"]}
    assert large["best"]["loss"] == pytest.approx(race["1"]["loss"])
    assert large["uniform"]["top1"] == pytest.approx(race["uniform"]["top1"])
    assert large["verdict"]["is_better"]
    assert result["seconds"] == sum(x.result["seconds"] for x in finished)
    assert (folder / "pareto.png").read_bytes()[:4] == b"\x89PNG"
    shown = capsys.readouterr().out
    assert f"macs-30M: {large['verdict']['sentence']}" in shown
    assert f"--resume --retrain --run-folder {folder}" in shown
    with pytest.raises(UserError, match=r"several budgets; name .*macs-30M\."):
        RunFolder(folder).read_result()


def test_several_machines_search_for_one_budget_without_minutes(config, monkeypatch):
    monkeypatch.setattr(search.workers, "role", lambda: "chief")
    with pytest.raises(UserError, match="several machines has one budget"):
        search.search(config)
    with pytest.raises(UserError, match="leave out --minutes 30"):
        search.search(replace(config, max_macs=("1200k",)))
    with pytest.raises(UserError, match="several machines has one budget"):
        search.work(replace(config, resume=True))


@pytest.mark.exhaustive
def test_a_family_is_killed_and_resumed(tmp_path):
    base, file = two_modules().scale_width(4), tmp_path / "base.json"
    write_json(file, base.to_json())
    path = latency.latency_cache_file(base, latency.Task(10, (32,)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(model()))
    folder = tmp_path / "family"
    options = ("--recipe", "smoke", "--architecture", str(file), "--width", "1")
    options += ("--max-macs", "3M", "2M", "--tuner", "random", "--trials", "2")
    options += ("--baselines", "--finalists", "0", "--minutes", "600")
    rows = folder / "macs-2M" / "trials.jsonl"
    process = start(tmp_path, *options, "--run-folder", str(folder))
    end = time.monotonic() + PATIENCE
    while not (folder / "macs-3M" / "result.json").exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = rows.read_text()
    assert json.loads(before)["trial"] == "uniform"  # of every budget, first
    again = start(tmp_path, "--resume", "--run-folder", str(folder))
    assert again.wait(PATIENCE) == 0, (tmp_path / "log.txt").read_text()
    assert rows.read_text().startswith(before)
    log = (tmp_path / "log.txt").read_text()
    assert log.count("macs-3M: uniform: ") == log.count("macs-2M: uniform: ") == 1
    assert "budget 2 of 2: macs-2M" in log
    assert "macs-2M: 2 trials of 1 epochs: about " in log
    result = read_json(folder / "result.json")
    assert [row["best"]["row"]["macs"] <= 3e6 for row in result["budgets"]] == [1, 1]


def start(folder, *arguments):
    """A search in a process of its own, whose output is in log.txt."""
    return subprocess.Popen(
        [sys.executable, "-m", "tuning.search", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=(folder / "log.txt").open("a"),
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
