"""Whole searches, as processes that are killed with real signals."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from dying import die, die_once
from making import ARCHITECTURES, call_main, two_modules
from tuning_parts import model

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.commands.search import main
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.tuning import search, workers
from googlenet_keras.tuning.config import SearchConfig
from googlenet_keras.tuning.latency import Task, latency_cache_file

ROOT = Path(__file__).parents[2]
BASE = two_modules().scale_width(4)
FILE = ARCHITECTURES / "search.json"
write_json(FILE, BASE.to_json())
OPTIONS = (  # a trial has half of the recipe's two epochs
    *("--recipe", "smoke", "--architecture", str(FILE), "--width", "1"),
    *("--level", "fine", "--max-macs", "3M"),
    *("--tuner", "random", "--baselines"),
)
PATIENCE = 480  # seconds


def start(*arguments, log, command=("-m", "tuning.search"), cwd=ROOT):
    return subprocess.Popen(
        [sys.executable, *command, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=log.open("a"),
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )


def wait_for(condition, process):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, "the search ended"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.2)


def rows(folder):
    path = folder / "trials.jsonl"
    return [json.loads(line) for line in path.open()] if path.exists() else []


def commands(folder):
    """Processes whose command line names `folder`."""
    return [pid for pid, line, _ in processes() if str(folder) in line]


def trainings(folder):
    """Processes that print into a log in `folder`."""
    return [pid for pid, _, output in processes() if output.startswith(str(folder))]


def processes():
    """Number, command line and standard output of each process that lives."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = os.fsdecode((path / "cmdline").read_bytes().replace(b"\0", b" "))
            found.append((int(path.name), line, str((path / "fd" / "1").readlink())))
    return found


@pytest.fixture
def known_machine():
    """The model of latency of a machine that was measured before."""
    path = latency_cache_file(BASE, Task(10, (32,)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(model()))


@pytest.mark.exhaustive
@pytest.mark.usefixtures("known_machine")
def test_workers_and_the_whole_search_may_be_killed(run_folder, tmp_path):
    """What a trained network proposes is found once, and is trained by workers."""
    folder, log = tmp_path / "found", tmp_path / "log.txt"
    worker_log = str(folder / "tuner0.log")
    options = (*OPTIONS, "--trials", "3", "--workers", "2", "--finalists", "0")
    options += ("--propose-from", str(run_folder))
    process = start(*options, "--run-folder", str(folder), log=log)
    trials = folder / "trials"
    wait_for(lambda: (trials / "1").exists() and (trials / "2").exists(), process)
    victim = next(pid for pid, _, output in processes() if output == worker_log)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: len(rows(folder)) >= 3, process)  # even width first
    assert log.read_text().count("started again") == 1
    process.kill()
    process.wait()
    before = rows(folder)
    end = time.monotonic() + 20
    while (commands(folder) or trainings(folder)) and time.monotonic() < end:
        time.sleep(0.2)
    assert commands(folder) == trainings(folder) == []  # no orphan goes on

    again = start("--resume", "--run-folder", str(folder), log=log)
    assert again.wait(timeout=2 * PATIENCE) == 0, log.read_text()
    assert log.read_text().count("started again") == 1  # who is done ends in peace
    after = rows(folder)
    assert after[: len(before)] == before
    done = [row["trial"] for row in after if row["status"] == "completed"]
    assert sorted(done) == ["0", "1", "2"]
    assert all(row["macs"] <= 3e6 for row in after if row["status"] == "completed")
    assert "of 3: loss" in log.read_text()
    assert log.read_text().count("which channels it needs") == 1
    proposed = {row["trial"]: row.get("proposal") for row in after}
    assert [proposed[name] for name in "012"] == ["uniform", "gammas", "clusters"]
    check_result(folder)
    check_resumed_without_training(folder)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("known_machine")
def test_a_search_that_is_stopped_ends_its_workers_and_their_trainings(tmp_path):
    folder, log = tmp_path / "found", tmp_path / "log.txt"
    options = (*OPTIONS, "--trials", "3", "--workers", "1", "--run-folder", str(folder))
    elsewhere = {"command": ("-m", "googlenet_keras", "search"), "cwd": tmp_path}
    process = start(*options, log=log, **elsewhere)
    wait_for((folder / "trials" / "1" / "config.json").exists, process)
    assert len(trainings(folder)) == 2  # the worker, and the training of its trial
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert commands(folder) == trainings(folder) == []
    assert log.read_text().endswith("ended by SIGTERM\n")
    assert "Traceback" not in log.read_text()


def check_resumed_without_training(folder):
    """A finished search is opened again, by one process at a time."""
    options = (*OPTIONS, "--trials", "3", "--run-folder", str(folder))
    before = rows(folder)
    with (
        RunFolder(folder).lock(),
        pytest.raises(UserError, match="one process at a time"),
    ):
        call_main(main, "--resume", *options)
    call_main(main, "--resume", *options)
    assert rows(folder) == before
    with pytest.raises(ValueError, match="never overwritten"):
        call_main(main, *options)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("known_machine")
def test_a_race_is_run_and_the_best_network_retrained_and_exported(tmp_path):
    """The status says if a check failed."""
    folder, log = tmp_path / "found", tmp_path / "log.txt"
    options = ("--trials", "2", "--finalists", "1")
    options += ("--retrain", "--retrain-epochs", "1")
    search = start(*OPTIONS, *options, "--run-folder", str(folder), log=log)
    status = search.wait(timeout=2 * PATIENCE)
    check_race(folder)
    best = read_json(RunFolder(folder).result)["best"]
    check_handed_over(folder)
    retrained = folder / f"retrained-{best['trial']}-1-epochs"
    report = read_json(retrained / "export" / "report.json")
    assert report["formats"]["float32"]["passed"]
    passed = [row["passed"] for row in report["formats"].values()]
    assert status == (0 if all(passed) else 1), log.read_text()
    config = read_json(RunFolder(retrained).config)
    found = read_json(folder / "best_architecture.json")
    assert config["widths"] == Architecture.from_json(found).widths()


def check_handed_over(folder):
    """The network of even width, unless another one has won the race."""
    result = read_json(RunFolder(folder).result)
    winner = result["verdict"]["trial"] if result["verdict"]["is_better"] else "uniform"
    assert result["best"]["trial"] == winner


def check_result(folder):
    """Even width was trained once, as a baseline and as trial 0."""
    result = read_json(RunFolder(folder).result)
    names = [row["trial"] for row in result["baselines"]]
    assert names == ["uniform"]
    completed = [row for row in rows(folder) if row["status"] == "completed"]
    assert result["best"] == min(completed, key=lambda row: row["loss"])
    uniform, first = (
        next(row for row in rows(folder) if row["trial"] == name)
        for name in ("uniform", "0")
    )
    assert first["loss"] == uniform["loss"]
    assert (first["seconds"], (folder / "trials" / "0").exists()) == (0, False)
    found = read_json(folder / "best_architecture.json")
    assert found == result["best"]["architecture"]
    assert (folder / "pareto.png").read_bytes()[:4] == b"\x89PNG"


def check_race(folder):
    """Its rounds have other seeds, and each digit is held out once at most."""
    race = [row for row in rows(folder) if row["status"] == "race"]
    finalist = race[1]["network"]
    assert [(row["network"], row["round"]) for row in race[:4]] == [
        *[("uniform", 1), (finalist, 1), ("uniform", 2), (finalist, 2)]
    ]
    configs = [
        read_json(folder / "trials" / row["trial"] / "config.json") for row in race
    ]
    found = [(x["seed"], x["folds"], x["fold"], x["fold_seed"]) for x in configs[:4]]
    assert found == [(1, 5, 1, 0), (1, 5, 1, 0), (2, 5, 2, 0), (2, 5, 2, 0)]
    assert {row["images"] for row in race} <= {299, 300}  # of 1,497


def test_a_worker_without_a_chief_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "CHIEF_CONNECT_SECONDS", 2)
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "tuner7")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", "1")
    assert workers.role() == "worker"
    with pytest.raises(ValueError, match=r"none answers at 127.0.0.1:1 for 2 s"):
        workers.connect_to_chief()


def test_a_worker_that_dies_is_started_again(tmp_path, monkeypatch, capsys):
    supervise = partial(workers._supervise, SimpleNamespace(folder=RunFolder(tmp_path)))
    monkeypatch.setattr(workers, "_work_locally", die_once)
    supervise("tuner0", Event(), failures := [])
    assert failures == []
    shown = capsys.readouterr().out
    assert shown.count("worker tuner0 is started again: its process died; see t") == 1


@pytest.fixture(params=[signal.SIG_IGN, signal.default_int_handler])
def sigint(request):
    """Its handler: ignored, as in a shell's background job, or Python's own."""
    before = signal.signal(signal.SIGINT, request.param)
    yield request.param
    signal.signal(signal.SIGINT, before)


def test_a_worker_that_keeps_dying_ends_the_search(tmp_path, monkeypatch, sigint):
    """A shell's background job ignores SIGINT from the start."""
    job = SimpleNamespace(folder=RunFolder(tmp_path), config=SimpleNamespace(workers=1))
    monkeypatch.setattr(workers, "_work_locally", die)
    with (
        pytest.raises(UserError, match=r"tuner0 failed 6 times, .* its process died"),
        workers.local_workers(job),
    ):
        wait_for(lambda: False, SimpleNamespace(poll=lambda: None))
    assert signal.getsignal(signal.SIGINT) is sigint


def test_a_worker_begins_nothing_of_its_own():
    with pytest.raises(ValueError, match=r"give it --resume --run-folder FOLDER"):
        search.work(SearchConfig())


@pytest.mark.parametrize(("address", "port"), [("203.0.113.9", "80"), ("::x", "x")])
def test_a_chief_needs_an_address_of_its_own(address, port, monkeypatch):
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", address)
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", port)
    with pytest.raises(ValueError, match=f"received {address}:{port}: "):
        workers.check_chief(local_workers=0)


def test_half_an_environment_is_an_error(monkeypatch):
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    with pytest.raises(ValueError, match="received KERASTUNER_ORACLE_IP only"):
        workers.role()
