"""Runs whose image size changes."""

import shutil
import signal
from dataclasses import dataclass, field, replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from making import small_run, tiny_run, two_modules, write_photos

from googlenet_keras.classifier import Classifier
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import InterruptionError, UserError
from googlenet_keras.files import cache_folder, read_json, read_json_lines, write_json
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import named_weights
from googlenet_keras.run_folder import EVENT_KEY, RunFolder
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training import checkpoints, trainer
from googlenet_keras.training.head_resizing import resize_momentum, resize_weights
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.signals import StopRequest
from googlenet_keras.training.trainer import TrainedNetwork, train_network
from googlenet_keras.training.training_state import TrainingState

STEPS = 2
SIZES = ("32:1", "48x40:2")  # the head's map has 2 x 2 and 3 x 2 cells


def one_module():
    arch = two_modules()
    return replace(arch, rows=arch.rows[:-1], heads=arch.heads[:1])


def growing(folder, data, **options):
    """Three epochs of two steps at two sizes, of the main and one auxiliary head."""
    config = small_run(folder, data, resume=True, checkpoint_minutes=1e-6)
    file = folder.with_suffix(".json")
    write_json(file, one_module().to_json())
    sizes = {"epochs": None, "image_size": (), "image_sizes": SIZES}
    options = {"architecture": file, "color_jitter": 0.0, **sizes} | options
    return replace(config, **options)


@dataclass
class Whole:
    """A run that nothing happens to, and its states as each fit restored them."""

    source: dict = field(default_factory=dict)
    starts: list = field(default_factory=list)
    carried: list = field(default_factory=list)
    copies: int = 0
    run: TrainedNetwork | None = None

    def record(self, on_train_begin):
        def recorded(state, logs=None):
            before = state._pending
            on_train_begin(state, logs)
            self.starts.append(named_weights(state.model))
            if before:
                self.carried.append((before, state._state()))

        return recorded


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """From weights, with none pictures and copies of the images on disk."""
    folder, whole = tmp_path_factory.mktemp("whole"), Whole()
    arch = one_module()
    network = build_network(arch, classes=2, image_size=32)
    geometry = Preprocessing(32, 32, 0.875)
    Classifier(network, arch, geometry, ("a", "b")).save(folder / "source")
    whole.source = named_weights(network)
    config = growing(
        folder / "run",
        write_photos(folder / "photos", {"a": 6, "b": 5}),
        none=write_photos(folder / "none", {"x": 3}),
        weights=str(folder / "source"),
        cache="disk",
    )
    before = set((cache_folder() / "images").glob("*"))
    with pytest.MonkeyPatch.context() as patch:
        recorded = whole.record(TrainingState.on_train_begin)
        patch.setattr(TrainingState, "on_train_begin", recorded)
        whole.run = train_network(config)
    whole.copies = len(set((cache_folder() / "images").glob("*")) - before)
    return whole


@pytest.mark.slow
def test_a_run_ends_with_the_last_size_and_has_one_schedule(whole):
    assert whole.run.classifier.preprocessing.size == (48, 40)
    assert whole.run.best_epoch > 1
    stored = read_json(whole.run.job.folder.config)
    assert (stored["epochs"], stored["image_size"]) == (3, [48, 40])
    lines = whole.run.job.folder.read_epochs()
    sizes = [tuple(line["image_size"]) for line in lines]
    assert sizes == [(32, 32), (48, 40), (48, 40)]
    # 6 steps, of which one is warm-up: cosine from 0.05 to 0 over the other 5
    expected = [0.025 * (1 + np.cos(np.pi * (2 * e - 1) / 5)) for e in (1, 2, 3)]
    rates = [line["learning_rate"] for line in lines]
    np.testing.assert_allclose(rates, expected, rtol=1e-4, atol=1e-8)


@pytest.mark.slow
def test_images_that_grow_have_their_size_in_the_end(tmp_path):
    data = write_photos(tmp_path / "data", {"a": 5, "b": 5})
    config = tiny_run(tmp_path / "run", data, grow="on", image_size=(48,), epochs=3)
    run = train_network(config)
    sizes = [line["image_size"] for line in run.job.folder.read_epochs()]
    assert [tuple(size) for size in sizes] == [(32, 32), (36, 36), (48, 48)]
    assert run.classifier.preprocessing.size == (48, 48)


@pytest.mark.slow
def test_weights_that_a_run_starts_from_are_in_its_first_network(whole):
    assert whole.starts[0].keys() == whole.source.keys()
    for name, value in whole.starts[0].items():
        known = value[..., : whole.source[name].shape[-1]]  # without the none output
        np.testing.assert_array_equal(known, whole.source[name], err_msg=name)


@pytest.mark.slow
def test_the_copies_on_disk_of_the_largest_size_serve_all(whole):
    assert whole.copies == 2  # of the images and of the none pictures


@pytest.mark.slow
def test_the_state_is_carried_over_by_name(whole):
    """All of it is bit-equal, but for the kernel whose map has another size."""
    ((before, after),) = whole.carried
    assert after.progress == before.progress | {"spent": after.progress["spent"]}
    assert before.progress["learning"] == {"steps": STEPS}
    assert after.tensors.keys() == before.tensors.keys()
    changed = [
        name for name, x in before.tensors.items()
        if x.shape != after.tensors[name].shape
    ]  # fmt: skip
    groups = [name.split("/")[0] for name in changed]
    assert groups == ["network", "optimizer", "average"]
    for name, value in before.tensors.items():
        expected = value
        if name in changed:
            rows = len(value) // 4 * 6  # from 2 x 2 cells to 3 x 2
            of_momentum = name.startswith("optimizer")
            resize = resize_momentum if of_momentum else resize_weights
            expected = resize(value, rows, len(value) // 4)
        np.testing.assert_array_equal(after.tensors[name], expected, err_msg=name)


class StopAt(keras.callbacks.Callback):
    """Asks the run to stop in a step, as a signal would."""

    def __init__(self, state, stop, epoch, step):
        super().__init__()
        self.state, self.stop, self.at = state, stop, (epoch, step)

    def on_train_batch_begin(self, batch, logs=None):
        if (self.state.epoch, self.state.step) == self.at:
            self.stop.signal_number = signal.SIGTERM


def stopped(config, epoch, step):
    """Trains to this step, and returns how many steps the checkpoint has."""

    class StoppedTrainer(trainer.Trainer):
        def __init__(self, job, stop, stopwatch):
            super().__init__(job, stop, stopwatch)
            self.callbacks.insert(-1, StopAt(self.state, stop, epoch, step))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "Trainer", StoppedTrainer)
        with pytest.raises(InterruptionError):
            train_network(config)
    folder = RunFolder(config.run_folder).checkpoints
    progress = checkpoints.newest_checkpoint(folder).progress
    return progress["epoch"] * STEPS + progress["step"]


@pytest.mark.exhaustive
def test_a_run_stopped_at_the_change_and_after_it_ends_as_one_that_is_not(
    whole, tmp_path
):
    config = replace(whole.run.job.config, run_folder=tmp_path / "run")
    assert stopped(config, epoch=0, step=1) == STEPS  # the change comes next
    assert stopped(config, epoch=1, step=0) == STEPS + 1
    run = train_network(config)
    first, second = (named_weights(x.classifier.network) for x in (run, whole.run))
    for name, value in second.items():
        np.testing.assert_array_equal(first[name], value, err_msg=name)
    times = ("seconds", "images_per_second")
    figures = [
        [{k: v for k, v in line.items() if k not in times}
         for line in x.job.folder.read_epochs()]
        for x in (run, whole.run)
    ]  # fmt: skip
    assert figures[0] == figures[1]
    assert run.best_epoch == whole.run.best_epoch


@pytest.mark.exhaustive
def test_a_bad_step_may_lead_back_to_an_earlier_stage(tmp_path, monkeypatch):
    """There is no checkpoint but that of the start."""
    batches, left = trainer.training_batches, [1]

    def poisoned(config, dataset, heads, start, shard, **options):
        made = batches(config, dataset, heads, start, shard, **options)
        if start != (1, 0) or not left:
            return made
        left.pop()
        weights = dict.fromkeys(heads, tf.fill([4], np.nan))
        return made.map(lambda images, labels: (images, labels, weights))

    monkeypatch.setattr(trainer, "training_batches", poisoned)
    data = write_photos(tmp_path / "photos", {"a": 6, "b": 5})
    config = growing(tmp_path / "run", data, image_sizes=("32:1", "48x40:1"))
    run = train_network(replace(config, checkpoint_minutes=10.0))
    lines = read_json_lines(run.job.folder.metrics)
    (event,) = (line for line in lines if EVENT_KEY in line)
    assert (event["epoch"], event["back_to_epoch"]) == (2, 1)
    epochs = run.job.folder.read_epochs()
    assert [line["epoch"] for line in epochs] == [1, 2]
    assert run.classifier.preprocessing.size == (48, 40)
    assert run.best_epoch == 2


@pytest.mark.slow
def test_a_run_begins_in_the_stage_of_its_checkpoint_and_may_return_to_an_earlier_one(
    whole, tmp_path, monkeypatch
):
    """Each fit is recorded instead of done."""
    copy = RunFolder(shutil.copytree(whole.run.job.folder.path, tmp_path / "run"))
    config = replace(whole.run.job.config, run_folder=copy.path)
    trained = trainer.Trainer(
        TrainingJob.from_config(config), StopRequest(), Stopwatch()
    )
    fitted, state = [], trained.state

    def fit(start, epochs, steps, parts):
        size = trained.classifier.network.inputs[0].shape[1:3]
        fitted.append((size, start, epochs, steps))
        state.set_model(trained.classifier.network)

    monkeypatch.setattr(trained, "_fit", fit)
    state.set_model(trained.classifier.network)
    for done in ((0, 1), (1, 0), (1, 1), (0, 0)):
        state.epoch, state.step = done
        trained._fit_segment()
    assert fitted == [
        ((32, 32), (0, 1), 1, 1),
        ((48, 40), (1, 0), 3, 2),
        ((48, 40), (1, 1), 2, 1),
        ((32, 32), (0, 0), 1, 2),
    ]


@pytest.mark.slow
def test_other_sizes_are_refused_at_resume(whole):
    config = replace(whole.run.job.config, image_sizes=("32:2", "48x40:1"))
    with pytest.raises(UserError, match=r"--image-sizes was .*'48x40:2'.* and is"):
        train_network(config)
