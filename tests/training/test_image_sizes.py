"""Runs whose image size changes."""

import signal
from dataclasses import replace

import keras
import numpy as np
import pytest
from making import small_run, write_photos

from googlenet_keras.classifier import Classifier
from googlenet_keras.errors import InterruptionError, UserError
from googlenet_keras.files import cache_folder, read_json, read_json_lines
from googlenet_keras.network.weights import named_weights
from googlenet_keras.run_folder import EVENT_KEY, RunFolder
from googlenet_keras.training import checkpoints, trainer
from googlenet_keras.training.head_resizing import resize_momentum, resize_weights
from googlenet_keras.training.trainer import train_network
from googlenet_keras.training.training_state import TrainingState

STEPS = 2
SIZES = ("32:2", "48x40:1", "40:2")  # maps of 2 x 2, 3 x 2 and 2 x 2 cells


def growing(folder, data, **options):
    """Five epochs of two steps at three sizes, with everything random that there is."""
    config = small_run(
        folder,
        data,
        resume=True,
        checkpoint_minutes=1e-6,
        cutmix=1.0,
        epochs=None,
        image_size=(),
        image_sizes=SIZES,
    )
    return replace(config, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("data") / "d", {"a": 6, "b": 5})


@pytest.fixture(scope="module")
def none(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("none"), {"x": 3})


@pytest.fixture(scope="module")
def whole(data, none, tmp_path_factory):
    """The run that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return train_network(growing(folder, data, none=none))


def assert_equal_runs(run, other):
    first, second = (named_weights(x.classifier.network) for x in (run, other))
    for name, value in second.items():
        np.testing.assert_array_equal(first[name], value, err_msg=name)
    times = ("seconds", "images_per_second")
    lines = [
        [{k: v for k, v in line.items() if k not in times}
         for line in x.job.folder.read_epochs()]
        for x in (run, other)
    ]  # fmt: skip
    assert lines[0] == lines[1]
    assert run.best_epoch == other.best_epoch


@pytest.mark.slow
def test_a_run_ends_with_the_last_size_and_has_one_schedule(whole):
    assert whole.classifier.preprocessing.size == (40, 40)
    assert whole.best_epoch > 3
    stored = read_json(whole.job.folder.config)
    assert (stored["epochs"], stored["image_size"]) == (5, [40, 40])
    lines = whole.job.folder.read_epochs()
    sizes = [tuple(line["image_size"]) for line in lines]
    assert sizes == [(32, 32), (32, 32), (48, 40), (40, 40), (40, 40)]
    rates = [line["learning_rate"] for line in lines]
    # 10 steps, of which one is warm-up: cosine from 0.05 to 0 over the other 9
    expected = [0.025 * (1 + np.cos(np.pi * (2 * e - 1) / 9)) for e in range(1, 6)]
    np.testing.assert_allclose(rates, expected, rtol=1e-4, atol=1e-8)


class StopAt(keras.callbacks.Callback):
    """Asks the run to stop in a step, as a signal would."""

    def __init__(self, stop, epoch, step):
        super().__init__()
        self.stop, self.at = stop, (epoch, step)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            self.stop.signal_number = signal.SIGTERM


@pytest.mark.slow
def test_a_run_stopped_in_any_stage_or_at_a_change_ends_as_one_that_is_not(
    data, none, whole, tmp_path, monkeypatch
):
    config = growing(tmp_path / "run", data, none=none)
    folder = RunFolder(config.run_folder)
    # in the middle of each stage, and in the last step before each change
    for epoch, step in ((0, 0), (1, 1), (2, 0), (2, 1), (4, 0)):

        class StoppedTrainer(trainer.Trainer):
            at = (epoch, step)

            def __init__(self, job, stop, stopwatch):
                super().__init__(job, stop, stopwatch)
                self.callbacks.insert(-1, StopAt(stop, *self.at))

        with monkeypatch.context() as patch:
            patch.setattr(trainer, "Trainer", StoppedTrainer)
            with pytest.raises(InterruptionError):
                train_network(config)
        progress = checkpoints.newest_checkpoint(folder.checkpoints).progress
        done = progress["epoch"] * STEPS + progress["step"]
        assert done == epoch * STEPS + step + 1
    assert_equal_runs(train_network(config), whole)


@pytest.mark.slow
def test_the_state_is_carried_over_by_name(data, tmp_path, monkeypatch):
    """All of it is bit-equal, but for the kernels whose maps have other sizes."""
    carried = []
    on_train_begin = TrainingState.on_train_begin

    def record(state, logs=None):
        before = state._pending
        on_train_begin(state, logs)
        if before:
            carried.append((before, state._state()))

    monkeypatch.setattr(TrainingState, "on_train_begin", record)
    config = growing(tmp_path / "run", data, image_sizes=("32:1", "48x40:1"))
    train_network(replace(config, checkpoint_minutes=0.0))
    ((before, after),) = carried
    assert after.progress == before.progress | {"spent": after.progress["spent"]}
    changed = {
        n for n, x in before.tensors.items() if x.shape != after.tensors[n].shape
    }
    assert sorted(name.split("/")[0] for name in changed) == (
        ["average"] * 2 + ["network"] * 2 + ["optimizer"] * 2
    )
    for name, value in before.tensors.items():
        resize = resize_momentum if name.startswith("optimizer") else resize_weights
        if name in changed:
            assert len(value) * 3 == len(after.tensors[name]) * 2  # from 4 to 6 cells
            value = resize(value, len(after.tensors[name]), len(value) // 4)
        np.testing.assert_array_equal(after.tensors[name], value, err_msg=name)


@pytest.mark.slow
def test_a_bad_step_may_lead_back_to_an_earlier_stage(data, tmp_path, monkeypatch):
    """There is no checkpoint but that of the start."""
    batches, left = trainer.training_batches, [1]

    def poisoned(config, dataset, heads, start, shard):
        made = batches(config, dataset, heads, start, shard)
        if start != (2, 0) or not left:
            return made
        left.pop()
        return made.map(lambda x, y: (x, {h: y[h] * np.nan for h in y}))

    monkeypatch.setattr(trainer, "training_batches", poisoned)
    run = train_network(growing(tmp_path / "run", data, checkpoint_minutes=10.0))
    lines = read_json_lines(run.job.folder.metrics)
    (event,) = (line for line in lines if EVENT_KEY in line)
    assert (event["epoch"], event["back_to_epoch"]) == (3, 1)
    epochs = run.job.folder.read_epochs()
    assert [line["epoch"] for line in epochs] == [1, 2, 3, 4, 5]
    assert run.classifier.preprocessing.size == (40, 40)
    assert run.best_epoch > 3


@pytest.mark.slow
def test_other_sizes_are_refused_at_resume(whole):
    config = replace(whole.job.config, image_sizes=("32:3", "40:2"))
    with pytest.raises(UserError, match=r"--image-sizes was .*48x40:1.* and is"):
        train_network(config)


@pytest.mark.slow
def test_weights_that_a_run_starts_from_are_in_its_first_network(
    data, whole, tmp_path, monkeypatch
):
    """The size of theirs gives way to the run's."""
    started = []
    on_train_begin = TrainingState.on_train_begin

    def record(state, logs=None):
        on_train_begin(state, logs)
        started.append(named_weights(state.model))

    monkeypatch.setattr(TrainingState, "on_train_begin", record)
    config = growing(
        tmp_path / "run",
        data,
        architecture=None,
        weights=str(whole.job.folder.path),
        image_sizes=("32:1", "48:1"),
        cache="disk",
    )
    before = set((cache_folder() / "images").glob("*"))
    run = train_network(config)
    source = named_weights(whole.classifier.network)
    for name, value in started[0].items():
        np.testing.assert_array_equal(value, source[name], err_msg=name)
    assert run.classifier.preprocessing.size == (48, 48)
    assert isinstance(run.classifier, Classifier)
    copies = set((cache_folder() / "images").glob("*")) - before
    assert len(copies) == 1  # those of the largest size serve both stages
