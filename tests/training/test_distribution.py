import contextlib
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from making import classifier, one_module, small_run, write_photos

from googlenet_keras.classifier import Classifier
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json_lines, write_json
from googlenet_keras.network.weights import named_weights
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training import distribution
from googlenet_keras.training.distribution import Distribution
from googlenet_keras.training.trainer import train_network

ROOT = Path(__file__).parents[2]
SECONDS = 240  # for what takes 20 on an idle machine
TRAIN = """
import json, os, sys
from pathlib import Path

import keras
import numpy as np

from googlenet_keras.console import run_script
from googlenet_keras.network.weights import named_weights
from googlenet_keras.training import trainer
from googlenet_keras.training.options import TrainConfig

options, folder, dies = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

class Leave(keras.callbacks.Callback):
    '''Writes each epoch's weights down; the worker that dies does so in the second.'''

    def __init__(self, worker):
        super().__init__()
        self.worker = worker

    def on_epoch_end(self, epoch, logs=None):
        np.savez(folder / f"{self.worker}.{epoch}.npz", **named_weights(self.model))

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1 and self.worker == dies:
            os._exit(9)

class LeavingTrainer(trainer.Trainer):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        worker = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
        self.callbacks.insert(-1, Leave(worker))

trainer.Trainer = LeavingTrainer
run_script(lambda: trainer.train_network(TrainConfig.from_json(options)))
"""


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def processes(script, *arguments_of_each, log_folder, clustered=True):
    """(exit status, output, errors) of each process that runs `script`."""
    ports = free_ports(len(arguments_of_each))
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    started = []
    try:
        for index, arguments in enumerate(arguments_of_each):
            task = {"type": "worker", "index": index}
            config = json.dumps({"cluster": cluster, "task": task})
            more = {"TF_CONFIG": config} if clustered else {}
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", script, *map(str, arguments)],
                    cwd=ROOT,
                    env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | more,
                    stdout=(log_folder / f"{index}.out").open("w"),
                    stderr=(log_folder / f"{index}.err").open("w"),
                )
            )
        statuses = [process.wait(SECONDS) for process in started]
    finally:
        for process in started:
            process.kill()
    return [
        (status, *((log_folder / f"{i}.{kind}").read_text() for kind in ("out", "err")))
        for i, status in enumerate(statuses)
    ]


def pair(config, folder, dies=-1):
    """What two workers with these options ended with, and said."""
    arguments = (json.dumps(config.to_json()), folder, dies)
    return processes(TRAIN, arguments, arguments, log_folder=folder)


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """Options of two epochs of four steps whose gradients are clipped.

    The second epoch has larger images. Each batch has two pictures of none of the
    classes, one for each of two workers. Of 129 validation images the workers see 65
    and 64 in two batches each. A teacher helps, and the main head teaches the other.
    """
    folder = tmp_path_factory.mktemp("common")
    teacher = classifier("bn", classes=2, size=32)
    replace(teacher, labels=("b", "a")).save(folder / "teacher")
    for name, variant in (("architecture", "paper"), ("batch_norm", "bn")):
        arch = replace(one_module(variant, 1), dropout=0.0, auxiliary_dropout=0.0)
        write_json(folder / f"{name}.json", arch.to_json())
    return small_run(
        None,
        write_photos(folder / "photos", {"a": 100, "b": 61}, (32, 32)),
        validation_fraction=0.8,
        architecture=folder / "architecture.json",
        epochs=None,
        image_size=(),
        image_sizes=("32:1", "48:1"),
        batch_size=8,
        warmup_epochs=0.0,
        clip_norm=0.05,
        class_weights="balanced",
        none=write_photos(folder / "none", {"x": 3, "y": 4}, (32, 32)),
        teacher=(folder / "teacher",),
        self_distillation=0.3,
    )


@pytest.fixture(scope="module")
def alone(options, tmp_path_factory):
    """The run that one process trains."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    run = train_network(replace(options, run_folder=folder))
    assert run.job.dataset.validation.count == 129
    return run


def assert_equal_runs(folder, other):
    weights, expected = (
        named_weights(Classifier.load(f / "classifier").network)
        for f in (folder, other)
    )
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)
    for line, same in zip(*(read_json_lines(RunFolder(f).metrics)
                            for f in (folder, other)), strict=True):  # fmt: skip
        for kind in ("train", "validation"):
            for head in ("main", "aux1"):
                for figure in ("top1", "loss"):
                    assert line[kind][head][figure] == pytest.approx(
                        same[kind][head][figure], rel=1e-4
                    )
            assert line[kind]["loss"] == pytest.approx(same[kind]["loss"], rel=1e-5)


@pytest.mark.slow
def test_two_workers_are_one_with_the_same_batch(options, alone, tmp_path):
    config = replace(options, strategy="multi-worker", run_folder=tmp_path / "run")
    (status, output, errors), (other, silence, others_errors) = pair(config, tmp_path)
    assert (status, other) == (0, 0), errors + others_errors
    assert (
        "strategy multi-worker: 2 workers, 2 devices, 4 images of the batch of 8 each, "
        "learning rate 0.01\n"
    ) in output
    assert silence == ""
    assert "answers of 2 epochs, 0.0 MB, 2 of them from the cache" in output
    assert "images of 48 x 48 px from epoch 2 on" in output
    assert_equal_runs(config.run_folder, alone.job.folder.path)
    assert_equal_workers(tmp_path, epoch=1)


def assert_equal_workers(folder, epoch):
    first, second = (np.load(folder / f"{worker}.{epoch}.npz") for worker in range(2))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    return first


@pytest.mark.exhaustive
def test_a_lost_worker_ends_the_others_which_agree_until_then(options, tmp_path):
    config = replace(
        options,
        architecture=options.architecture.with_name("batch_norm.json"),
        average_epochs=0.0,
        strategy="multi-worker",
        run_folder=tmp_path / "run",
    )
    (status, _, errors), (other, *_) = pair(config, tmp_path, dies=1)
    assert other == 9
    assert status == 2
    assert errors.count("error: ") == 1
    assert (
        "strategy multi-worker: all 2 workers must stay alive, and one was lost"
        in errors
    )
    assert f"--resume --run-folder {config.run_folder} on all workers" in errors
    weights = assert_equal_workers(tmp_path, epoch=0)
    assert any("moving_variance" in name for name in weights)


@pytest.mark.parametrize("kind", distribution.LOST_WORKER_ERRORS)
def test_what_tensorflow_says_of_a_lost_worker_becomes_the_way_out(kind):
    error = kind(None, None, "Not found.\n  /job:worker/task:1 is gone\n")
    team = Distribution("multi-worker", SimpleNamespace(), worker=0, workers=2)
    with pytest.raises(UserError) as found, team.explain_lost_worker("runs/a"):
        raise error
    assert "all 2 workers must stay alive, and one was lost" in str(found.value)
    assert "with --resume --run-folder runs/a on all workers" in str(found.value)
    assert str(found.value).endswith("TensorFlow says: /job:worker/task:1 is gone")
    with pytest.raises(kind), Distribution().explain_lost_worker("runs/a"):
        raise error


@pytest.mark.slow
def test_workers_with_different_options_are_refused(options, tmp_path):
    config = replace(options, strategy="multi-worker", run_folder=tmp_path / "run")
    arguments = [(json.dumps(c.to_json()), tmp_path, -1)
                 for c in (config, replace(config, momentum=0.8))]  # fmt: skip
    ended = processes(TRAIN, *arguments, log_folder=tmp_path)
    assert [status for status, *_ in ended] == [2, 2]
    for worker, (_, _, errors) in enumerate(ended):
        momentum = [0.9, 0.8][worker]
        assert f"in momentum. Worker {worker} has momentum {momentum}. S" in errors
    assert not config.run_folder.exists()


WAIT = """
from googlenet_keras.console import run_script
from googlenet_keras.training import distribution
distribution.START_TIMEOUT_SECONDS = 2
run_script(lambda: distribution.start_distribution("multi-worker"))
"""


@pytest.mark.slow
def test_a_worker_does_not_wait_for_ever_for_the_others(tmp_path):
    (address,) = free_ports(1)
    cluster = {"worker": [f"127.0.0.1:{address}", "127.0.0.1:1"]}
    task = {"type": "worker", "index": 0}
    ended = subprocess.run(
        [sys.executable, "-c", WAIT],
        cwd=ROOT,
        env=os.environ | {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 2
    assert "error: all 2 workers must start within 2 seconds; worker 0" in ended.stderr


TWO_DEVICES = """
import json, sys

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, halves)

from googlenet_keras.console import show_log
from googlenet_keras.training import distribution, job, model, trainer
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.sgd import MomentumSGD

show_log()
team = distribution.start_distribution("mirrored")
"""
MIRRORED = (
    TWO_DEVICES
    + """
job.start_distribution = lambda name: team  # one strategy a process
trainer.train_network(TrainConfig.from_json(json.loads(sys.argv[1])))
"""
)
PARTS = (
    TWO_DEVICES
    + """
def images(shard):
    of_each = tf.constant([0.0, 4.0])[:, None, None, None] + tf.zeros((2, 2, 2, 3))
    labels = {"main": tf.zeros((2, 12))}
    return tf.data.Dataset.from_tensor_slices((of_each, labels)).batch(1).repeat()

with team.strategy.scope():
    weight = keras.Variable(1.0, name="kernel")
    scaled = model.ReplicatedLossScale(MomentumSGD(0.5), initial_scale=4.0)
    scaled.build([weight])
    image = keras.Input((2, 2, 3))
    metric = keras.metrics.Mean()
    norm = keras.layers.BatchNormalization(momentum=0.5)
    flat = keras.layers.Flatten()(keras.layers.Dropout(0.5, seed=5)(norm(image)))
    network = model.ReplicatedModel(image, {"main": flat})
    network.compile(MomentumSGD(0.1), {"main": "mse"})
    network._symbolic_build(data_batch=next(iter(images(None))))
network.fit(team.distribute(images), steps_per_epoch=1, verbose=0)
moving = [x.numpy().tolist() for x in norm.moving_mean.value.values]

@tf.function
def step(gradients):
    def of_replica():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        scaled.apply([gradients[number]], [weight])
    team.strategy.run(of_replica)

step(tf.constant([1.0, np.inf]))
skipped = float(weight.numpy()), float(scaled.dynamic_scale.numpy())
step(tf.constant([1.0, 3.0]))
model.separate_dropout_seeds(network, 0)
states = network.layers[2].seed_generator.state.value.values
metric.total.assign(6.0)
parts = [float(x.numpy()) for x in metric.total.value.values]
print(json.dumps({
    "skipped": skipped,
    "weight": float(weight.numpy()),
    "states": [x.numpy().tolist() for x in states],
    "parts": parts,
    "whole": float(model.local_value(metric.total)),
    "moving": moving,
}))
"""
)


def on_two_devices(script, folder, *arguments):
    """The output of a process that has two devices."""
    ((status, output, errors),) = processes(
        script, arguments, log_folder=folder, clustered=False
    )
    assert status == 0, errors
    return output


@pytest.mark.exhaustive
def test_two_devices_are_one_with_the_same_batch(options, alone, tmp_path):
    config = replace(options, strategy="mirrored", run_folder=tmp_path / "run")
    output = on_two_devices(MIRRORED, tmp_path, json.dumps(config.to_json()))
    assert "strategy mirrored: 2 devices, 4 images of the batch of 8 each" in output
    assert_equal_runs(config.run_folder, alone.job.folder.path)


@pytest.mark.slow
def test_what_two_devices_have_in_common_and_what_of_their_own(tmp_path):
    output = on_two_devices(PARTS, tmp_path)
    assert json.loads(output.splitlines()[-1]) == {
        "skipped": [1.0, 2.0],  # one is infinite: no step, half the scale
        "weight": 1.0 - 0.5 * (1 + 3) / 2,
        "states": [[5, 1], [6, 1]],
        "parts": [3.0, 3.0],
        "whole": 6.0,
        "moving": [[1.0] * 3] * 2,  # half of the mean of 0 and 4, on both
    }


def test_mirrored_needs_two_devices():
    with pytest.raises(UserError, match=r"at least two GPUs; this machine has 0\. Use"):
        distribution.start_distribution("mirrored")


def test_keras_distribution_is_refused():
    keras.distribution.set_distribution(
        keras.distribution.DataParallel(devices=["cpu:0"])
    )
    try:
        with pytest.raises(UserError, match=r"keras\.distribution does nothing on Ten"):
            distribution.start_distribution("none")
    finally:
        keras.distribution.set_distribution(None)
    assert distribution.start_distribution("none").replicas == 1


def test_a_batch_is_shared_evenly():
    team = Distribution("mirrored", SimpleNamespace(num_replicas_in_sync=3))
    team.check_batch_size(33)
    with pytest.raises(UserError, match=r"number of devices, 3; received 32\."):
        team.check_batch_size(32)
    assert team.describe(33, 0.05) == (
        "strategy mirrored: 3 devices, 11 images of the batch of 33 each, "
        "learning rate 0.05"
    )


@pytest.mark.parametrize(("change", "message"), [
    ({"xla": "on"}, "--xla on needs a single device; received --strategy multi-worker"),
    ({"batch_size": "auto"}, "--batch-size auto needs a single device"),
    ({}, "requires --run-folder, the same for all workers"),
])  # fmt: skip
def test_what_several_devices_cannot_have(options, change, message):
    config = replace(options, strategy="multi-worker", **change)
    with pytest.raises(UserError, match=message):
        train_network(config)
