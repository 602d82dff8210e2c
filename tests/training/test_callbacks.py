import json
import math

import keras
import numpy as np
import pytest

from googlenet_keras.errors import DiskError, UserError
from googlenet_keras.training import callbacks as watch
from googlenet_keras.training.stages import Stage


def line_model(**compile_options):
    """y = w x + b with w = b = 0, trained by plain SGD."""
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse", **compile_options)
    return model


def one_stage(epoch):
    return Stage(0, 10, (64, 96))


@pytest.mark.parametrize(("values", "saved"), [
    ([0.1, 0.5, 0.41], [1, 2, 3]),  # two standard errors are 0.096
    ([0.1, 0.5, 0.39], [1, 2]),
    ([0.1, 0.5, 0.39, 0.41], [1, 2, 4]),
    ([0.5, 0.41, 0.33], [1, 2]),  # it is compared with the best, not with the last
    ([1.0, 0.99, 0.8], [1, 2]),  # no certainty at 1
])  # fmt: skip
def test_an_epoch_is_saved_unless_an_earlier_one_was_clearly_better(values, saved):
    saves = []
    callback = watch.SaveLast(
        lambda: saves.append(callback.best_epoch), images=100, stage=one_stage
    )
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"val_main_top1": value, "val_loss": 1.0})
    assert saves == saved
    assert callback.best_epoch == saved[-1]


def test_epochs_of_different_image_sizes_are_not_compared():
    stages = [Stage(0, 2, (32, 32)), Stage(2, 5, (48, 48))]
    saves = []
    callback = watch.SaveLast(
        lambda: saves.append(callback.best_epoch),
        images=100,
        stage=lambda epoch: stages[epoch >= 2],
    )
    values = [0.9, 0.3, 0.3, 0.5, 0.1]  # clearly worse are the second and the last
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"val_main_top1": value, "val_loss": 1.0})
    assert saves == [1, 3, 4]
    assert callback.best == 0.5


def test_a_standard_error():
    assert watch.standard_error(0.5, 96) == pytest.approx(0.05)
    assert watch.standard_error(1.0, 96) == pytest.approx((0.98 * 0.02 / 100) ** 0.5)


def test_weights_that_are_not_finite_are_never_saved():
    callback = watch.SaveLast(lambda: pytest.fail("saved"), images=100, stage=one_stage)
    callback.on_epoch_end(0, {"val_main_top1": 1.0, "val_loss": math.nan})
    assert callback.best_epoch == 0


HEADS = ("main", "aux1", "aux2")


def epoch_logs(main, aux1, aux2):
    losses = zip(HEADS, (main, aux1, aux2), strict=True)
    return {f"{head}_cross_entropy": value for head, value in losses}


def watching(steps, warmup=100):
    callback = watch.WatchLearning(math.log(10), warmup, HEADS)
    for step in range(steps):
        callback.on_train_batch_end(step, {"loss": 2.3})
    return callback


def test_a_dead_main_head_is_named():
    with pytest.raises(UserError) as error:
        watching(300).on_epoch_end(4, epoch_logs(2.302, 1.1, 2.31))
    message = str(error.value)
    assert "the main head is dead while aux1 learned" in message
    assert "after epoch 5 the cross-entropies are main 2.302, aux1 1.100" in message
    assert "lower --learning-rate" in message


def test_three_stuck_heads_are_named():
    with pytest.raises(UserError, match="no head learns"):
        watching(300).on_epoch_end(4, epoch_logs(2.302, 2.31, 2.30))


def test_a_head_has_time_to_start_and_a_learning_one_goes_on():
    watching(299).on_epoch_end(4, epoch_logs(2.302, 2.3, 2.3))
    watching(4000).on_epoch_end(4, epoch_logs(2.2, 2.3, 2.3))


def test_a_short_run_that_learnt_nothing_ends_with_a_warning(capsys):
    callback = watching(20)
    callback.on_epoch_end(0, epoch_logs(2.302, 2.3, 2.3))
    callback.warn()
    assert "warning: no head learns" in capsys.readouterr().err
    callback.on_epoch_end(1, epoch_logs(2.0, 2.3, 2.3))
    callback.warn()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_named(loss):
    callback = watching(7)
    with pytest.raises(UserError, match=rf"at step 8 it was {loss}\. Lower --learning"):
        callback.on_train_batch_end(7, {"loss": loss})


def test_metrics_have_a_line_an_epoch(tmp_path):
    callback = watch.WriteMetrics(
        tmp_path / "m.jsonl", ("main",), batch_size=100, stage=one_stage
    )
    model = line_model()
    callback.set_model(model)
    names = ("loss", "main_top1", "main_top5", "main_cross_entropy")
    logs = {prefix + n: i for prefix in ("", "val_") for i, n in enumerate(names)}
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(0)
    callback.on_test_begin()
    callback.on_epoch_end(0, logs)
    line = json.loads((tmp_path / "m.jsonl").read_text())
    assert line["epoch"] == 1
    assert line["image_size"] == [64, 96]
    assert (logs["image_height"], logs["image_width"]) == (64, 96)
    assert line["learning_rate"] == pytest.approx(0.1)
    assert line["validation"] == line["train"]
    assert line["train"] == {"loss": 0, "main": {"top1": 1, "top5": 2, "loss": 3}}
    assert line["images_per_second"] > 0
    assert logs["images_per_second"] > 0


def test_an_epochs_line_has_the_image_size_if_it_changes(capsys):
    names = ("main_cross_entropy", "main_top1", "images_per_second")
    logs = dict.fromkeys((*names, "val_main_cross_entropy", "val_main_top1"), 0.5)
    stages = [Stage(0, 2, (32, 32)), Stage(2, 5, (48, 40))]
    for some in (stages, [Stage(0, 5, (48, 40))]):
        watch.LogEpochs(some, 8, lambda: 5, lambda: 0).on_epoch_end(2, logs)
    several, single = capsys.readouterr().out.splitlines()
    assert several.startswith("epoch 3/5 at 48 x 40 px: loss 0.500, top-1 0.500; ")
    assert single.startswith("epoch 3/5: loss 0.500, ")


def test_event_files_that_cannot_be_written_are_the_disks_error(tmp_path):
    (tmp_path / "events").write_text("a file where a folder should be")
    model = line_model()
    events = watch.WriteEvents(str(tmp_path / "events"))
    with pytest.raises(DiskError, match="events cannot be written"):
        model.fit(np.ones((1, 1)), np.ones((1, 1)), verbose=0, callbacks=[events])


@pytest.mark.parametrize(("done", "steps"), [(0, 8), (700, 1000)])
def test_a_long_epoch_has_a_line_a_minute(done, steps, monkeypatch, caplog):
    """It may be one that an earlier process began."""
    clock = iter(range(0, 1000, 25))  # seconds
    monkeypatch.setattr(watch.time, "perf_counter", lambda: float(next(clock)))
    caplog.set_level("INFO", watch.__name__)
    stages = [Stage(0, 3, (32, 32))]
    lines = watch.LogEpochs(stages, steps, lambda: 3, lambda: done)
    lines.on_epoch_begin(1)
    for batch in range(8):
        lines.on_train_batch_end(
            batch, {"main_cross_entropy": 2 - batch / 8, "main_top1": batch / 8}
        )
    assert caplog.messages == [
        f"epoch 2/3: step {done + 3} of {steps}, loss 1.750, top-1 0.250",
        f"epoch 2/3: step {done + 6} of {steps}, loss 1.375, top-1 0.625",
    ]
