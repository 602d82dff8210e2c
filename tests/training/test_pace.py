import re
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest
from making import one_module, small_run, tiny_run, write_photos

from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.flags import read_flags
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.options import MAX_EPOCHS, TrainConfig
from googlenet_keras.training.pace import WARMUP_STEPS, Clock, Pace, epochs_within
from googlenet_keras.training.planning import plan_epochs
from googlenet_keras.training.signals import StopRequest
from googlenet_keras.training.stages import Stage, growing_stages
from googlenet_keras.training.trainer import Trainer, train_network
from googlenet_keras.tuning.config import SearchConfig


def test_the_epochs_that_fit_beside_start_and_evaluation():
    digits = open_dataset("digits")  # as many images for test as for validation
    pace = Pace(startup=10.0, step=0.5, epoch_end=5.0)
    assert pace.epoch(20) == 15.0
    # 200 - 10 - 15 - 2 * 5 = 165
    assert fitting(200.0, 20, digits, pace) == 11
    assert fitting(199.9, 20, digits, pace) == 10
    assert fitting(5.0, 20, digits, pace) == 0
    untested = replace(digits, test=None)
    assert fitting(195.0, 20, untested, pace) == 11
    assert fitting(10.0, 1, digits, Pace(0.0, 1e-6, 1e-6)) == MAX_EPOCHS


def fitting(seconds, steps, data, pace):
    """The epochs that fit into `seconds` at one image size."""
    size = (32, 32)
    return epochs_within(
        seconds, steps, data, {size: pace}, lambda epochs: [Stage(0, epochs, size)]
    )


def test_the_epochs_of_growing_images_cost_what_those_of_their_size_do():
    digits = replace(open_dataset("digits"), test=None)
    paces = {
        (80, 80): Pace(startup=10.0, step=1.0, epoch_end=0.0),
        (96, 96): Pace(startup=10.0, step=2.0, epoch_end=0.0),
        (128, 128): Pace(startup=10.0, step=3.0, epoch_end=0.0),
    }

    def epochs(seconds):
        made = partial(growing_stages, size=(128, 128))
        return epochs_within(seconds, 1, digits, paces, made)

    # 24 + 14 * 2 + 17 * 3 of the steps, 4.5 startups
    assert epochs(148.0) == 55
    assert epochs(147.9) == 54
    assert epochs(27.9) == 0  # 1 startup and 1.5 of the evaluation, 3 of the step
    assert epochs(28.0) == 1


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, WARMUP_STEPS + 1), (1e9, 10)])
def test_the_clock_ends_the_steps_and_times_what_follows(seconds, steps):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    clock, done = Clock(seconds), []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: done.append(batch)
    )
    x = np.zeros((10, 1))
    model.fit(x, x, batch_size=1, verbose=0, callbacks=[count, clock],
              validation_data=(x, x))  # fmt: skip
    assert len(done) == steps
    assert 0 < clock.step < clock.epoch_end  # validation compiles, steps have


@pytest.mark.slow
def test_a_run_trains_the_planned_epochs_and_resumes_with_them(tmp_path, capsys):
    data = write_photos(tmp_path / "data", {"a": 5, "b": 5})
    sizes = {"grow": "on", "image_size": (40,)}  # 32 at first
    planned = {"minutes": 0.001, "epochs": None, "resume": True}
    config = tiny_run(tmp_path / "run", data, **sizes, **planned)
    run = train_network(config)
    shown = capsys.readouterr().err
    assert re.search(r"no epoch of about \d+\.\d to \d+\.\d seconds", shown)
    assert read_json(run.job.folder.config)["epochs"] == 1
    assert [line["epoch"] for line in run.job.folder.read_epochs()] == [1]
    again = train_network(config)
    shown = capsys.readouterr()
    assert "resuming after 1 epochs" in shown.out
    assert "no epoch" not in shown.err
    assert again.job.config.epochs == 1
    flags = ["--resume", "--run-folder", str(config.run_folder), "--minutes", "0.001"]
    assert read_flags(flags).epochs == 1


def test_minutes_take_the_place_of_epochs(tmp_path):
    assert read_flags(["--recipe", "smoke", "--minutes", "5"]).epochs is None
    assert TrainConfig.from_recipe("paper", minutes=5).epochs is None
    with pytest.raises(UserError, match=r"--minutes 5 and --epochs 3\. Leave"):
        train_network(read_flags(["--minutes", "5", "--epochs", "3"]))
    several = TrainConfig(minutes=5, strategy="multi-worker", run_folder=tmp_path / "r")
    with pytest.raises(UserError, match="--minutes measures one machine"):
        train_network(several)
    with pytest.raises(UserError, match="leave out minutes=5"):
        SearchConfig(TrainConfig(minutes=5), max_macs="1M")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cache", "message"),
    [
        ("none", r"others/x/\d\.jpg is no whole image"),
        ("disk", "a copy of an image in"),
    ],
)
def test_a_measurement_names_what_it_cannot_read_and_does_not_speak_of_resuming(
    cache, message, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = write_photos(tmp_path / "data", {"a": 5, "b": 5})
    others = write_photos(tmp_path / "others", {"x": 4})
    write_json(tmp_path / "network.json", one_module().to_json())
    options = {"architecture": tmp_path / "network.json", "none": others}
    runs = tmp_path / "runs"
    job = TrainingJob.from_config(
        small_run(runs / "run", data, minutes=1, epochs=None, cache=cache, **options)
    )

    def damage_and_make(probed):
        assert probed.folder.path.parent == runs  # on the disk of the run
        read = others if cache == "none" else tmp_path / "cache"
        files = [path for path in read.rglob("*") if path.is_file()]
        assert files  # the copies are made before the time is taken
        for path in files:
            path.write_bytes(path.read_bytes()[:20])
        return Trainer(probed, StopRequest(), Stopwatch())

    with pytest.raises(UserError, match=message) as error:
        plan_epochs(job, damage_and_make, Stopwatch())
    assert "--resume" not in str(error.value)
    assert not list(runs.iterdir())
