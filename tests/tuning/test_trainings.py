from contextlib import contextmanager
from dataclasses import replace

import pytest
from making import one_module, small_run, write_photos
from tuning_parts import job, this_process

from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.processes import ProcessError
from googlenet_keras.training.job import open_training_data
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.tuning import trainings
from googlenet_keras.tuning.image_results import ImageResults
from googlenet_keras.tuning.trainings import (
    train_baselines,
    train_for_race,
    train_trial,
)
from googlenet_keras.tuning.trials import TrialLog

FIGURES = {
    **{"loss": 0.5, "top1": {"main": 0.8}, "images": 9, "epochs": 4},
    **{"seconds": 1.0, "cpu_seconds": 1.0, "peak_megabytes": None},
}


@pytest.fixture
def calls(monkeypatch):
    """The calls that would train in a child process, recorded instead."""
    asked = []

    @contextmanager
    def child(log):
        def call(_, config, split, path):
            asked.append((config, split))
            return FIGURES

        yield call

    monkeypatch.setattr(trainings, "child_process", child)
    return asked


def test_even_width_is_trained_first_and_no_baseline_twice(calls, tmp_path):
    searched = job(tmp_path, macs=30e6, epochs=4, baselines=(1.0, 0.01))
    widths = searched.space.base
    log = TrialLog(searched)
    train_baselines(searched, log)
    train_baselines(searched, log)
    assert [row["trial"] for row in log.rows] == ["uniform", "width-1", "width-0.01"]
    assert {row["status"] for row in log.rows} == {"baseline"}
    config, split = calls[0]
    assert config.to_architecture() == widths
    assert (config.epochs, config.seed, config.fold, split) == (4, 0, 0, "validation")


def test_a_baseline_of_even_width_is_not_trained_beside_it(calls, tmp_path):
    searched = job(tmp_path, epochs=4, baselines=(1.0,))  # without limits
    train_baselines(searched, log := TrialLog(searched))
    assert [row["trial"] for row in log.rows] == ["uniform"]


def test_a_search_without_even_width_ends_and_tries_it_again(tmp_path, monkeypatch):
    @contextmanager
    def failing(log):
        def call(*_):
            raise ProcessError("out of memory")

        yield call

    monkeypatch.setattr(trainings, "child_process", failing)
    searched = job(tmp_path, epochs=4)
    with pytest.raises(UserError, match=r"that failed: out of memory.*--resume"):
        train_baselines(searched, log := TrialLog(searched))
    assert log.rows == []


def test_a_trial_of_even_width_takes_the_figures_there_are(calls, tmp_path):
    searched = job(tmp_path, macs=30e6, epochs=4)
    uniform = searched.space.uniform_values()
    train_trial(searched, "0", uniform)
    assert len(calls) == 1  # there are none
    train_baselines(searched, TrialLog(searched))
    trained = len(calls)
    assert train_trial(searched, "0", uniform) == FIGURES | {
        "seconds": 0.0,
        "cpu_seconds": 0.0,
    }
    assert len(calls) == trained
    others = (
        *({"stem": 0.5}, {"inception_5": 2.0}),
        *({"tuner/epochs": 2}, {"learning_rate": 2.0}, {"dropout": 0.6}),
        {"heads": "aux1"},
    )
    for number, other in enumerate(others):
        train_trial(searched, "1", uniform | other)
        assert len(calls) == trained + number + 1


def test_each_round_has_a_seed_and_a_fold_of_one_division(calls, tmp_path):
    searched = replace(job(tmp_path, macs=30e6, epochs=4), folds=5)
    for number in (1, 2, 6):
        train_for_race(searched, "x", searched.space.base, 2.0, number)
    found = [(c.seed, c.folds, c.fold, c.fold_seed, split) for c, split in calls]
    assert found == [(n, 5, fold, 0, "test") for n, fold in ((1, 1), (2, 2), (6, 1))]
    train_for_race(replace(searched, folds=0), "x", searched.space.base, 1.0, 2)
    config, split = calls[-1]
    assert (config.seed, config.folds, split) == (2, 0, "validation")


@pytest.mark.slow
def test_a_training_of_a_race_is_judged_by_its_fold(tmp_path, monkeypatch):
    monkeypatch.setattr(trainings, "child_process", this_process)
    data = write_photos(tmp_path / "data", {"a": 9, "b": 12})
    write_json(tmp_path / "network.json", one_module().to_json())
    training = small_run(None, data, architecture=tmp_path / "network.json")
    searched = job(tmp_path / "search", epochs=1)
    searched.folder.path.mkdir()
    searched = replace(
        searched, config=replace(searched.config, training=training), folds=3
    )
    found = train_for_race(searched, "1-round-2", one_module(), 1.0, 2)
    results = ImageResults.load(searched.folder.image_results("1-round-2"))
    assert found["images"] == len(results.loss) == 7  # a third
    assert found["loss"] == pytest.approx(results.loss.mean())
    assert found["top1"] == {"main": pytest.approx(results.correct.mean())}
    run = searched.folder.trials / "1-round-2"
    config = TrainConfig.from_json(read_json(run / "config.json"))
    assert (config.folds, config.fold, config.fold_seed) == (3, 2, 0)
    assert results.images == open_training_data(config).test.fingerprint
    assert not (run / "classifier").exists()
