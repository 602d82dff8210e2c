import hashlib
import json
import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from making import tiny_run, write_photos
from safetensors import safe_open
from safetensors.numpy import save_file

from googlenet_keras.data import pipeline
from googlenet_keras.errors import InterruptionError, UserError
from googlenet_keras.files import (
    TEMPORARY_SUFFIX,
    append_json_line,
    cache_folder,
    read_json_lines,
)
from googlenet_keras.network.weights import named_weights
from googlenet_keras.run_folder import EVENT_KEY, RunFolder
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training import checkpoints, trainer
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.signals import StopRequest
from googlenet_keras.training.trainer import train_network
from googlenet_keras.training.training_state import TrainingState

EPOCHS, STEPS = 3, 4


def tiny(folder, data, **options):
    """Three epochs of four steps, with everything random that there is."""
    config = tiny_run(
        folder, data, resume=True, checkpoint_minutes=1e-6, epochs=EPOCHS, cutmix=1.0
    )
    return replace(config, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """16 images to train on and 4 for validation."""
    folder = tmp_path_factory.mktemp("data") / "d"
    for split, count in (("train", 8), ("val", 2)):
        write_photos(folder / split, {"a": count, "b": count})
    return folder


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The run that nothing happens to."""
    return train_network(tiny(tmp_path_factory.mktemp("whole") / "run", data))


def same(run, other):
    first, second = (named_weights(r.classifier.network) for r in (run, other))
    return all(np.array_equal(first[name], second[name]) for name in first)


def figures(run):
    lines = run.job.folder.read_epochs()
    return [(x["epoch"], x["learning_rate"], x["train"], x["validation"])
            for x in lines]  # fmt: skip


@contextmanager
def at_checkpoint(folder, steps, act):
    """Calls `act` when the run in `folder` has a checkpoint of so many steps."""
    write, file = TrainingState.write, RunFolder(folder).checkpoints / f"{steps:08d}"
    acted = False

    def write_and_act(state):
        nonlocal acted
        write(state)
        if not acted and file.with_suffix(".sha256").exists():
            acted = True
            act()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingState, "write", write_and_act)
        yield


def stop(config, steps, number=signal.SIGTERM):
    """Trains until this process gets a signal after so many steps."""
    with (
        at_checkpoint(config.run_folder, steps, lambda: os.kill(os.getpid(), number)),
        pytest.raises(InterruptionError, match=r"steps\. Resume it with") as error,
    ):
        train_network(config)
    return error.value


@pytest.mark.slow
def test_a_run_that_is_stopped_twice_ends_as_one_that_is_not(data, whole, tmp_path):
    config = tiny(tmp_path / "run", data)
    for steps, number in ((1, signal.SIGTERM), (6, signal.SIGINT)):
        error = stop(config, steps, number)
        assert error.status == 128 + number
        assert f"--resume --run-folder {config.run_folder}" in str(error)
        kept = checkpoints.newest_checkpoint(RunFolder(config.run_folder).checkpoints)
        done = kept.progress["epoch"] * STEPS + kept.progress["step"]
        assert steps <= done <= steps + 1
    resumed = train_network(config)
    assert same(resumed, whole)
    assert figures(resumed) == figures(whole)
    assert resumed.best_epoch == whole.best_epoch


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(data, whole, capsys):
    before = whole.job.folder.metrics.read_bytes()
    again = train_network(whole.job.config)
    assert same(again, whole)
    assert again.best_epoch == whole.best_epoch
    assert whole.job.folder.metrics.read_bytes() == before
    assert f"resuming after {EPOCHS} epochs" in capsys.readouterr().out


@pytest.mark.slow
def test_other_data_are_refused(data, whole):
    first = data / "train" / "a" / "0.jpg"
    moved = first.rename(first.with_name("00.jpg"))
    try:
        with pytest.raises(
            UserError, match="needs the training and validation images that the run"
        ):
            train_network(whole.job.config)
    finally:
        moved.rename(first)


@pytest.mark.slow
def test_a_run_killed_before_its_first_step_starts_and_needs_a_checkpoint_later(
    data, tmp_path
):
    config = tiny(tmp_path / "run", data, epochs=1, checkpoint_minutes=0.0)
    config.run_folder.mkdir()
    for name in ("environment.json", "config.json.7.tmp"):
        (config.run_folder / name).write_text("{")
    with pytest.raises(UserError, match="never overwritten"):
        train_network(replace(config, resume=False))
    assert train_network(config).best_epoch == 1
    assert not RunFolder(config.run_folder).checkpoints.exists()
    with pytest.raises(UserError, match=r"requires a checkpoint, .* has no intact one"):
        train_network(config)


def edit_checkpoint(path, change):
    """Changes the progress of a checkpoint, and its digest."""
    with safe_open(path, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        progress = json.loads(file.metadata()["progress"])
    changed = change(progress, tensors)
    changed = progress if changed is None else changed
    save_file(tensors, path, {"progress": json.dumps(changed)})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".sha256").write_text(f"{digest}  {path.name}\n")


DAMAGES = {  # of the progress and the tensors
    "list": lambda p, t: [p],
    "no epoch": lambda p, t: p.pop("epoch") and None,
    "epoch of text": lambda p, t: p.update(epoch="2"),
    "epoch beyond the end": lambda p, t: p.update(epoch=EPOCHS + 1, step=0),
    "epoch below 0": lambda p, t: p.update(epoch=-1),
    "step beyond the end": lambda p, t: p.update(step=STEPS),
    "step below 0": lambda p, t: p.update(step=-1),
    "spent nothing that counts": lambda p, t: p.update(spent=[float("nan"), 1.0]),
    "spent one number": lambda p, t: p.update(spent=5),
    "many rollbacks": lambda p, t: p.update(rollbacks=99),
    "no data": lambda p, t: p.update(data=None),
    "no best": lambda p, t: p.update(best={}),
    "no average": lambda p, t: p.pop("average") and None,
    "steps of text": lambda p, t: p.update(learning={"steps": "x"}),
    "not finite": lambda p, t: next(x for n, x in t.items() if "kernel" in n).fill(
        np.inf
    ),
}


@pytest.fixture(scope="module")
def interrupted(data, tmp_path_factory):
    """A run that was stopped after some checkpoints; two generations of them."""
    config = tiny(tmp_path_factory.mktemp("interrupted") / "run", data)
    stop(config, STEPS + 1)
    return config


@pytest.fixture(scope="module")
def resuming(interrupted, tmp_path_factory):
    """The training state of a copy of that run, before it resumes."""
    folder = tmp_path_factory.mktemp("resuming") / "run"
    shutil.copytree(interrupted.run_folder, folder)
    job = TrainingJob.from_config(replace(interrupted, run_folder=folder))
    return trainer.Trainer(job, StopRequest(), Stopwatch()).state


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_state_that_this_run_cannot_have_gives_way_to_the_one_before(
    interrupted, resuming, capsys, damage
):
    folder = RunFolder(resuming._folder.path)
    shutil.rmtree(folder.checkpoints)
    shutil.copytree(RunFolder(interrupted.run_folder).checkpoints, folder.checkpoints)
    older, newer = sorted(folder.checkpoints.glob("*.safetensors"))
    with safe_open(older, "numpy") as file:
        expected = json.loads(file.metadata()["progress"])
    edit_checkpoint(newer, damage)
    resuming.resume()
    assert f"{newer} is damaged (" in capsys.readouterr().err
    assert (resuming.epoch, resuming.step) == (expected["epoch"], expected["step"])
    assert not newer.exists()
    edit_checkpoint(older, damage)
    with pytest.raises(UserError, match=r"requires a checkpoint, .* has no intact one"):
        resuming.resume()


@pytest.mark.slow
def test_a_run_killed_in_a_write_with_damaged_files_ends_as_one_left_alone(
    interrupted, data, whole, tmp_path, capsys
):
    """Metrics of an epoch after the checkpoint, as of one that is damaged, are there.

    Of another line and of another file a part was written.
    """
    shutil.copytree(interrupted.run_folder, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    *_, newer = sorted(folder.checkpoints.glob("*.safetensors"))
    edit_checkpoint(newer, DAMAGES["list"])
    line = read_json_lines(folder.metrics)[-1] | {"epoch": EPOCHS}
    append_json_line(folder.metrics, line)
    with folder.metrics.open("a") as file:
        file.write('5\n"a"\nnull\n{"epoch": 7, "lea')
    left = folder.checkpoints / f"x.1{TEMPORARY_SUFFIX}"
    left.write_bytes(b"half")
    resumed = train_network(replace(interrupted, run_folder=folder.path))
    assert same(resumed, whole)
    assert figures(resumed) == figures(whole)
    assert "metrics.jsonl: line" in capsys.readouterr().err
    assert not left.exists()


def poisoned(times, epoch, step):
    """training_batches whose labels are not finite at one step, `times` times."""
    left, made = tf.Variable(times), trainer.training_batches
    number = epoch * STEPS + step

    def batches(config, dataset, heads, start=(0, 0), *share, **options):
        first = start[0] * STEPS + start[1]

        def spoil(i, images, labels):
            bad = tf.logical_and(i + first == number, left > 0)
            left.assign_sub(tf.cast(bad, tf.int32))
            whole = tf.where(bad, np.nan, 1.0)
            return images, {head: parts * whole for head, parts in labels.items()}

        counted = made(config, dataset, heads, start, *share, **options)
        counted = counted.enumerate()
        return counted.map(lambda i, example: spoil(i, *example))

    return batches


@pytest.mark.slow
def test_a_batch_that_is_not_finite_is_named_and_rolled_back(
    data, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(trainer, "training_batches", poisoned(1, epoch=1, step=1))
    run = train_network(tiny(tmp_path / "run", data))
    assert [line[0] for line in figures(run)] == list(range(1, EPOCHS + 1))
    lines = read_json_lines(run.job.folder.metrics)
    (event,) = (line for line in lines if EVENT_KEY in line)
    assert (event["epoch"], event["step"]) == (2, 2)
    assert (event["back_to_epoch"], event["back_to_step"]) == (2, 2)
    assert event["learning_rate_factor"] == 0.5
    ((split, numbers),) = run.job.step_images(1, 1)
    assert len(numbers) == 4
    assert event["files"] == pipeline.image_names(split, numbers)
    assert "step 2 of epoch 2 is not finite; back to step 2" in capsys.readouterr().out


@pytest.mark.slow
def test_after_three_rollbacks_the_files_are_named(data, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "training_batches", poisoned(99, epoch=1, step=2))
    config = tiny(tmp_path / "run", data)
    with pytest.raises(UserError, match=r"must stay finite.*The batch: .*\.jpg, "):
        train_network(config)
    lines = read_json_lines(RunFolder(config.run_folder).metrics)
    factors = [x["learning_rate_factor"] for x in lines if EVENT_KEY in x]
    assert factors == [0.5, 0.25, 0.125]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 350 kB of its own, and a way to make room on it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=350k", "none", str(folder)]
    made = subprocess.run(["mount", *options], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mounting a file system is for root alone")
    grow = ["mount", "-o", "remount,size=60m", str(folder)]
    yield folder, lambda: subprocess.run(grow, check=True)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_folder_that_goes_away_ends_a_run(data, tmp_path):
    """The event files' writer would make it anew and go on without the rest."""
    folder, away = tmp_path / "run", tmp_path / "away"
    with (
        at_checkpoint(folder, 0, lambda: folder.rename(away)),
        pytest.raises(UserError, match=r"has been moved or removed\. Resume"),
    ):
        train_network(tiny(folder, data, checkpoint_minutes=10.0))
    kept = checkpoints.newest_checkpoint(RunFolder(away).checkpoints)
    assert (kept.progress["epoch"], kept.progress["step"]) == (0, 0)


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_a_run_that_can_be_resumed(data, whole, small_disk):
    folder, make_room = small_disk
    config = tiny(folder / "run", data)
    with pytest.raises(UserError, match=r"No space left.* Resume it with"):
        train_network(config)
    assert checkpoints.newest_checkpoint(folder / "run" / "checkpoints") is not None
    make_room()
    resumed = train_network(config)
    assert same(resumed, whole)
    assert figures(resumed) == figures(whole)


@pytest.mark.slow
def test_images_that_were_replaced_or_removed_are_refused(data, whole):
    identity = whole.job.dataset
    for split, key in (
        (identity.train, "contents"),
        (identity.validation, "validation_contents"),
    ):
        path, content = split.files[0], split.files[1].read_bytes()
        before = path.read_bytes()
        path.write_bytes(content)
        try:
            message = rf"started with: {key} \w{{8}} then and \w{{8}} now\. Put them"
            with pytest.raises(UserError, match=message):
                train_network(whole.job.config)
        finally:
            path.write_bytes(before)
    assert train_network(whole.job.config).best_epoch == whole.best_epoch


@pytest.mark.slow
def test_validation_images_that_were_removed_are_refused(data, whole):
    path = data / "val" / "b" / "1.jpg"
    before = path.read_bytes()
    path.unlink()
    try:
        message = "started with: validation_images 4 then and 3"
        with pytest.raises(UserError, match=message):
            train_network(whole.job.config)
    finally:
        path.write_bytes(before)


@pytest.mark.slow
def test_the_same_images_elsewhere_and_later_are_the_same(data, whole, tmp_path):
    """As on another machine, which has fetched them anew."""
    shutil.copytree(data, tmp_path / "d", copy_function=shutil.copyfile)
    away = data.rename(data.with_name("moved"))
    try:
        (data.parent / "d").symlink_to(tmp_path / "d")
        assert train_network(whole.job.config).best_epoch == whole.best_epoch
    finally:
        (data.parent / "d").unlink()
        away.rename(data)


@pytest.mark.slow
def test_a_run_of_before_contents_were_compared_resumes(data, whole):
    state = checkpoints.newest_checkpoint(whole.job.folder.checkpoints)
    older = {x: state.progress["data"][x] for x in ("images", "fingerprint", "epochs")}
    progress = {**state.progress, "data": older}
    checkpoints.write_checkpoint(
        whole.job.folder.checkpoints, checkpoints.State(state.tensors, progress)
    )
    assert train_network(whole.job.config).best_epoch == whole.best_epoch


def spoil(path):
    """Garbage of the same size and time."""
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.slow
def test_an_image_that_breaks_ends_a_run_that_can_be_resumed(data, whole, tmp_path):
    """First one to train on, then one for validation."""
    config, images = tiny(tmp_path / "run", data), whole.job.dataset
    for path, damage, steps in (
        (images.train.files[1], spoil, 1),
        (images.validation.files[1], type(Path()).unlink, 2 * STEPS + 1),
    ):
        content, status = path.read_bytes(), path.stat()
        try:
            with (
                at_checkpoint(config.run_folder, steps, lambda: damage(path)),  # noqa: B023
                pytest.raises(pipeline.UnreadableImageError) as error,
            ):
                train_network(config)
        finally:
            path.write_bytes(content)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        shown = str(error.value)
        assert shown.startswith(f"{path} is ")
        assert f"train --resume --run-folder {config.run_folder}" in shown
    resumed = train_network(config)
    assert same(resumed, whole)
    assert figures(resumed) == figures(whole)


@pytest.mark.exhaustive
def test_a_damaged_copy_of_the_disk_cache_is_said(data, tmp_path):
    config = tiny(tmp_path / "run", data, cache="disk", image_size=(40,))
    folder = cache_folder() / "images"
    before = set(folder.glob("*")) if folder.exists() else set()

    def remove():
        (copies,) = set(folder.glob("*")) - before
        for path in copies.iterdir():
            path.unlink()

    with (
        at_checkpoint(config.run_folder, 1, remove),
        pytest.raises(UserError, match=f"a copy of an image in {folder} cannot be"),
    ):
        train_network(config)
    assert train_network(config).best_epoch >= 1  # the copies are made again
