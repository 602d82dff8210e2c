"""Training with pictures of none of the classes."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from making import tiny_run, write_photos

from googlenet_keras.data.none_pictures import open_none_folder
from googlenet_keras.data.pipeline import UnreadableImageError
from googlenet_keras.errors import InterruptionError, UserError
from googlenet_keras.evaluation.evaluate import evaluate
from googlenet_keras.evaluation.refusal import (
    refusal_figures,
    refusal_threshold,
    score_pictures,
)
from googlenet_keras.files import read_json, read_json_lines
from googlenet_keras.network.weights import named_weights
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training import memory
from googlenet_keras.training.input_pipeline import training_batches
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.recipes import recipe
from googlenet_keras.training.signals import StopRequest
from googlenet_keras.training.trainer import Trainer, _watch_learning, train_network
from googlenet_keras.training.training_state import TrainingState


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Reddish and greenish noise."""
    return write_photos(tmp_path_factory.mktemp("data") / "d", {"a": 24, "b": 24})


@pytest.fixture(scope="module")
def none(tmp_path_factory):
    """Bluish noise."""
    root = tmp_path_factory.mktemp("none")
    write_photos(root / "all", {"r": 1, "g": 1, "b": 16})
    return shutil.move(root / "all" / "b", root / "none")


def run_options(folder, data, **options):
    return tiny_run(folder, data, **({"epochs": 5, "batch_size": 8} | options))


@pytest.mark.slow
def test_a_network_is_unsure_of_what_it_was_shown_as_none(data, none, tmp_path):
    pictures = open_none_folder(none, str(data))
    found = {}
    for name, folder in (("without", None), ("with", none)):
        run = train_network(run_options(tmp_path / name, data, none=folder))
        known = evaluate(run.classifier, run.job.dataset)
        scores = score_pictures(run.classifier, pictures)
        threshold = refusal_threshold(known)
        found[name] = refusal_figures(known.main, scores, threshold, 2)
        assert found[name]["accepted"]["top1"] == 1
        count = 16 if folder else 0
        assert run.classifier.provenance["none_pictures"] == count
    assert found["without"]["auroc"] < 0.5
    assert found["without"]["none_refused"] < 0.5
    assert found["with"]["auroc"] > 0.9
    assert found["with"]["none_refused"] > 0.9
    assert scores.mean() < 0.75  # 0.5 would be wholly unsure
    folder = run.job.folder
    assert read_json(folder.config)["none"] == str(none.resolve())
    line = read_json_lines(folder.metrics)[-1]
    assert line["train"]["main"]["top1"] > 0.9  # 0.67 at most, if it counted all


def test_a_run_that_learns_with_none_pictures_is_not_ended(data, none):
    """Of two classes, where a third of each batch is of none, chance is 1.1."""
    alone, beside = (
        _watch_learning(job, ("main",))
        for job in map(
            TrainingJob.from_config,
            (run_options(None, data), run_options(None, data, none=none)),
        )
    )
    learned = {"main_cross_entropy": 0.9}
    for watch in (alone, beside):
        watch.steps = 10_000
    beside.on_epoch_end(9, learned)
    with pytest.raises(UserError, match=r"chance is 0\.693"):
        alone.on_epoch_end(9, learned)


def stop_after(monkeypatch, checkpoints):
    """Stops a training after it has written so many checkpoints."""
    write = TrainingState.write

    def write_and_stop(self):
        nonlocal checkpoints
        write(self)
        checkpoints -= 1
        if not checkpoints:
            raise InterruptionError("stopped", 15)

    monkeypatch.setattr(TrainingState, "write", write_and_stop)


@pytest.mark.exhaustive
def test_a_run_resumes_exactly_and_with_the_same_pictures_only(
    data, none, tmp_path, monkeypatch
):
    none = shutil.copytree(none, tmp_path / "none")
    options = {
        **{"none": none, "none_synthetic": 0.3, "epochs": 2, "mixup": 0.2},
        **{"resume": True, "checkpoint_minutes": 1e-6},
    }
    whole = train_network(run_options(tmp_path / "whole", data, **options))
    config = run_options(tmp_path / "run", data, **options)
    with monkeypatch.context() as patched:
        stop_after(patched, checkpoints=4)
        with pytest.raises(InterruptionError):
            train_network(config)
    picture = (none / "3.jpg").read_bytes()
    (none / "3.jpg").write_bytes((none / "4.jpg").read_bytes())
    with pytest.raises(UserError, match=r"--resume needs .*: none_contents \w+ then"):
        train_network(config)
    (none / "3.jpg").write_bytes(picture)
    other = shutil.copytree(none, tmp_path / "other")
    with pytest.raises(UserError, match=r"--none was .*none' and is .*other'"):
        train_network(replace(config, none=other))
    weights = [
        named_weights(run.classifier.network) for run in (train_network(config), whole)
    ]
    assert all(
        np.array_equal(weights[0][name], weights[1][name]) for name in weights[0]
    )


@pytest.mark.slow
def test_a_picture_that_is_gone_is_named_and_belongs_to_the_step(data, none, tmp_path):
    none = shutil.copytree(none, tmp_path / "none")
    options = {"none": none, "none_synthetic": 0, "batch_size": 4}
    job = TrainingJob.from_config(run_options(tmp_path / "run", data, **options))
    assert job.none_count == 2
    assert job.steps_per_epoch > 8
    steps = [job.step_images(0, step) for step in range(8)]
    numbers = [number for _, (_, pictures) in steps for number in pictures]
    assert sorted(numbers) == list(range(16))  # a pass through the folder
    _, (split, (later, _)) = steps[6]
    gone = split.files[later]
    gone.unlink()
    trainer = Trainer(job, StopRequest(), Stopwatch())
    with (
        job.claim_folder(),
        pytest.raises(UnreadableImageError, match=f"{gone} is gone"),
    ):
        trainer.fit()
    assert (trainer.state.epoch, trainer.state.step) == (0, 6)


@pytest.mark.slow
def test_an_image_that_only_a_synthetic_picture_reads_is_named(data, none, tmp_path):
    data = shutil.copytree(data, tmp_path / "data")
    config = run_options(tmp_path / "run", data, none=none, none_synthetic=1.0)
    job = TrainingJob.from_config(config)
    (train, batch), _, (source, numbers) = job.step_images(0, 0)
    assert source is train
    (gone, *_) = set(numbers) - set(batch)
    train.files[gone].unlink()
    with pytest.raises(UnreadableImageError, match=f"{train.files[gone]} is gone"):
        Trainer(job, StopRequest(), Stopwatch()).fit()


def test_runs_without_none_pictures_have_the_identity_that_they_had(data, none):
    job = TrainingJob.from_config(run_options(None, data))
    assert list(job.data_identity) == [
        *("images", "fingerprint", "epochs", "contents"),
        *("validation_images", "validation_contents"),
    ]
    assert job.none_count == 0
    with_none = TrainingJob.from_config(run_options(None, data, none=none))
    fingerprint = with_none.dataset.none.fingerprint
    assert with_none.data_identity == job.data_identity | {"none_contents": fingerprint}


def test_none_folders_that_cannot_work(data, tmp_path):
    for folder, message in (
        (data / "a", "no picture may be of a class and of none"),
        (tmp_path / "nowhere", "--none needs a folder .* does not exist"),
    ):
        with pytest.raises(UserError, match=message):
            train_network(run_options(tmp_path / "run", data, none=folder))
    with pytest.raises(UserError, match="none_synthetic needs none, a folder; add"):
        TrainConfig(none_synthetic=0.25)


def test_the_larger_batch_counts_for_memory(none):
    plain = recipe("smoke").resolve("photos", precision="float32", batch_size=32)
    with_none = replace(plain, none=none)
    assert memory._step_images(plain, 32) == 32
    assert memory._step_images(with_none, 32) == 48
    with pytest.raises(UserError, match="a step of 1500 images of 8192 x 8192"):
        memory.check_memory(
            replace(with_none, image_size=(8192,), batch_size=1000), classes=10
        )


def test_the_tried_step_has_the_none_pictures(none):
    tried = []

    class Network:
        inputs = (np.zeros((1, 32, 32, 3)),)
        output = ("main",)

        def train_on_batch(self, images, labels):
            tried.append((images.shape[0], labels["main"].shape[0]))

    config = recipe("smoke").resolve("photos", precision="float32")
    assert memory._step_fits(Network(), replace(config, none=none), 24)
    assert memory._step_fits(Network(), config, 24)
    assert tried == [(36, 36), (24, 24)]


@pytest.mark.slow
def test_the_cache_has_the_none_pictures_too(data, none, tmp_path):
    none = shutil.copytree(none, tmp_path / "none")
    config = run_options(None, data, none=none, epochs=1, cache="memory")
    job = TrainingJob.from_config(config)
    batches = training_batches(job.config, job.dataset, ("main",))
    shutil.rmtree(none)
    sizes = [(len(images), len(labels["main"])) for images, labels in batches]
    assert sizes == [(12, 12)] * 4
