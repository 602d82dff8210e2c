import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from making import tiny_run, write_photos

from googlenet_keras.network.weights import named_weights
from googlenet_keras.training.optimizer import make_optimizer
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.patience import Patience
from googlenet_keras.training.sgd import MomentumSGD
from googlenet_keras.training.trainer import train_network
from googlenet_keras.training.training_state import TrainingState


def compiled(optimizer):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    model.stop_training = False
    return model


def feed(callback, losses):
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"val_main_cross_entropy": loss})


@pytest.mark.parametrize(("losses", "skipped"), [
    ([3.0, 2.0, 2.5, 2.0], 12),  # 20 - 4 done - the last 4; equal is no better
    ([3.0, 2.0, 2.5, 1.9, 2.0], 0),
    ([3.0, float("nan"), float("nan")], 13),
    ([1.0] + 20 * [2.0], 13),  # once
    ([*range(30, 16, -1), 99, 99], 0),  # the last fifth has begun
    ([*range(30, 17, -1), 99, 99], 1),
])  # fmt: skip
def test_it_skips_to_the_last_fifth_after_so_many_epochs_without_a_better_loss(
    losses, skipped
):
    callback = Patience(2, epochs=20, steps=3, logs=False)
    callback.set_model(compiled(MomentumSGD(0.1)))
    feed(callback, losses)
    assert callback.skipped_epochs == skipped
    assert int(callback.model.optimizer.iterations) == skipped * 3
    assert callback.model.stop_training == (skipped > 0)


def test_the_epochs_that_are_certain_are_trained_whatever_the_losses_are():
    random = np.random.default_rng(0)
    for _ in range(30):
        callback, done, certain = Patience(3, epochs=20, steps=1, logs=False), 0, []
        callback.set_model(compiled(MomentumSGD(0.1)))
        while done < callback.last_epoch:
            certain.append(callback.certain_epochs(done))
            assert certain[-1] > done
            loss = random.integers(100 - done, 110)
            callback.on_epoch_end(done, {"val_main_cross_entropy": loss})
            done += 1
        assert certain[0] == 3 + 4  # if no epoch is better than the first one: 1 more
        assert max(certain) == done


def test_it_skips_within_loss_scaling_too():
    callback = Patience(1, epochs=20, steps=3, logs=False)
    sgd = MomentumSGD(0.1)
    callback.set_model(compiled(keras.optimizers.LossScaleOptimizer(sgd)))
    feed(callback, [1.0, 2.0])
    assert int(sgd.iterations) == 14 * 3


def test_the_state_decides_as_the_callback_that_it_was_taken_from():
    before, after = (Patience(2, epochs=20, steps=3, logs=False) for _ in range(2))
    for callback in (before, after):
        callback.set_model(compiled(MomentumSGD(0.1)))
    feed(before, [3.0, 4.0])
    after.set_state(before.get_state())
    after.on_epoch_end(2, {"val_main_cross_entropy": 3.5})
    assert after.skipped_epochs == 13
    before.set_state(after.get_state())
    feed(before, [9.0, 9.0, 9.0])  # it has skipped once already
    assert before.skipped_epochs == 13
    assert int(before.model.optimizer.iterations) == 0


def test_the_rates_after_it_are_the_last_of_the_schedule():
    config = TrainConfig(learning_rate=0.1, epochs=10, image_size=32)
    sgd = make_optimizer(config.resolve("photos"), steps=4)
    planned = [float(sgd._learning_rate(i)) for i in range(40)]
    sgd.iterations.assign(12)  # three epochs
    sgd.skip(4 * 5)
    found = []
    for _ in range(8):
        found.append(float(sgd.learning_rate))
        sgd.iterations.assign_add(1)
    assert found == planned[32:]
    assert found[0] < 0.015


def impatient(tmp_path, **options):
    """A run whose rate is so high that the loss soon gets worse."""
    data = write_photos(tmp_path / "data", {"a": 10, "b": 10})
    options = {"patience": 1, "learning_rate": 1.0, "optimizer": "sgd"} | options
    return tiny_run(tmp_path / "run", data, **options)


def first_worse(lines):
    """The first epoch without a better loss, counted from 1."""
    losses = [line["validation"]["main"]["loss"] for line in lines]
    count = range(1, len(losses))
    return next(i + 1 for i in count if losses[i] >= min(losses[:i]))


@pytest.mark.slow
def test_a_run_ends_early(tmp_path, capsys):
    run = train_network(impatient(tmp_path, epochs=6, checkpoint_minutes=0.0))
    lines = run.job.folder.read_epochs()
    # the last fifth of 6 epochs, rounded up
    assert len(lines) == first_worse(lines) + 2 < 6
    assert f"ended after {len(lines)} of 6 epochs" in capsys.readouterr().out


@pytest.mark.exhaustive
def test_a_run_ends_early_and_one_resumed_in_its_final_decay_ends_in_the_same_way(
    tmp_path, monkeypatch, capsys
):
    config = impatient(tmp_path, epochs=12, resume=True, checkpoint_minutes=1e-6)
    copy, write = tmp_path / "copy", TrainingState.write

    def write_and_copy(state):
        write(state)
        if state.last_epoch < 12 and state.step == 2 and not copy.exists():
            shutil.copytree(config.run_folder, copy)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "write", write_and_copy)
        whole = train_network(config)
    lines = whole.job.folder.read_epochs()
    done = first_worse(lines)
    assert len(lines) == done + 3 < 12  # the last fifth of 12 epochs, rounded up
    assert lines[-1]["learning_rate"] < 1e-3
    assert lines[done - 1]["learning_rate"] > 0.3  # the jump is to 0.2
    shown = capsys.readouterr().out
    assert f"training ends after epoch {len(lines)} of 12" in shown
    assert f"epoch {len(lines)}/{len(lines)}: loss" in shown
    assert f"ended after {len(lines)} of 12 epochs" in shown
    resumed = train_network(replace(config, run_folder=copy))
    assert f"resuming after {done} epochs and 2 of 4 steps" in capsys.readouterr().out
    for name, value in named_weights(whole.classifier.network).items():
        found = named_weights(resumed.classifier.network)[name]
        np.testing.assert_array_equal(found, value)
    again = resumed.job.folder.read_epochs()
    keys = ("epoch", "learning_rate", "train", "validation")
    assert [[x[k] for k in keys] for x in again] == [
        [x[k] for k in keys] for x in lines
    ]
