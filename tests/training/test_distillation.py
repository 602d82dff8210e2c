"""Training with a teacher: what a run records, resumes and refuses."""

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from making import classifier, tiny_run, write_photos

from googlenet_keras.classifier import Classifier
from googlenet_keras.errors import DiskError, InterruptionError, UserError
from googlenet_keras.evaluation.compare import options_as_text
from googlenet_keras.files import cache_folder, read_json
from googlenet_keras.network.weights import named_weights
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.signals import StopRequest
from googlenet_keras.training.trainer import Trainer, train_network
from googlenet_keras.training.training_state import TrainingState


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Of two classes, 16 images to train on."""
    return write_photos(tmp_path_factory.mktemp("data") / "d", {"a": 10, "b": 10})


@pytest.fixture
def teacher(tmp_path, monkeypatch):
    """A saved classifier for 64 pixels, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    replace(classifier("bn", classes=2), labels=("b", "a")).save(tmp_path / "teacher")
    return tmp_path / "teacher"


def answers():
    return [x for x in (cache_folder() / "teachers").rglob("*") if x.is_file()]


@pytest.mark.exhaustive
def test_a_run_resumes_exactly_and_with_the_same_teacher_only(
    data, teacher, tmp_path, monkeypatch, capsys
):
    options = {
        **{"teacher": (teacher,), "self_distillation": 0.3, "mixup": 0.2},
        **{"class_weights": "balanced", "epochs": 2, "heads": 1},
        **{"resume": True, "checkpoint_minutes": 1e-6},
    }
    whole = train_network(tiny_run(tmp_path / "whole", data, **options))
    assert "answers of 2 epochs, 0.0 MB, 0 of them from the cache" in (
        capsys.readouterr().out
    )
    assert len(answers()) == 2
    config = tiny_run(tmp_path / "run", data, **options)
    write, written = TrainingState.write, []

    def write_and_stop(self):
        write(self)
        written.append(self.step)
        if len(written) == 4:  # in the first epoch
            raise InterruptionError("stopped", 15)

    with monkeypatch.context() as patched:
        patched.setattr(TrainingState, "write", write_and_stop)
        with pytest.raises(InterruptionError):
            train_network(config)
    assert written[-1]
    weights = teacher / "weights.safetensors"
    before = weights.read_bytes()
    replace(classifier("bn", classes=2, seed=1), labels=("b", "a")).save(teacher)
    with pytest.raises(
        UserError, match=r"--resume needs .*, and its teachers: teachers \w+ then"
    ):
        train_network(config)
    other = shutil.copytree(teacher, tmp_path / "other")
    with pytest.raises(UserError, match=r"--teacher was \('.*r',\) and is \('.*other"):
        train_network(replace(config, teacher=(other,)))
    weights.write_bytes(before)
    capsys.readouterr()
    resumed = train_network(config)
    assert "answers of 2 epochs, 0.0 MB, 2 of them" in capsys.readouterr().out
    first, second = (named_weights(x.classifier.network) for x in (resumed, whole))
    assert all(np.array_equal(first[name], second[name]) for name in first)

    (entry,) = Classifier.load(tmp_path / "run").provenance["teachers"]
    assert entry["folder"] == str(teacher)
    assert entry["digest"] == resumed.job.teachers[0].digest
    written_options = read_json(resumed.job.folder.config)
    assert options_as_text(written_options)["teacher"] == str(teacher)


def impatient(folder, data, teacher):
    """A run whose rate is so high that the loss soon gets worse, which ends it."""
    options = {"teacher": (teacher,), "epochs": 8, "learning_rate": 1.0}
    return tiny_run(folder, data, **options, patience=1, resume=True)


@pytest.mark.exhaustive
def test_with_patience_a_teacher_answers_for_no_epoch_that_is_not_trained(
    data, teacher, tmp_path, capsys
):
    config = impatient(tmp_path / "run", data, teacher)
    epochs = train_network(config).job.folder.read_epochs()
    assert len(answers()) == len(epochs) < 8
    assert capsys.readouterr().out.count(": answers of ") > 1
    shutil.rmtree(cache_folder() / "teachers")
    train_network(config)  # its training is done, though not its 8 epochs
    assert not answers()


@pytest.mark.exhaustive
def test_answers_that_come_in_parts_are_those_that_come_at_once(
    data, teacher, tmp_path, monkeypatch
):
    run = train_network(impatient(tmp_path / "run", data, teacher))
    all_epochs = property(lambda state: state.last_epoch)
    monkeypatch.setattr(TrainingState, "certain_epochs", all_epochs)
    whole = train_network(impatient(tmp_path / "whole", data, teacher))
    assert len(answers()) == 8
    first, second = (named_weights(x.classifier.network) for x in (run, whole))
    assert all(np.array_equal(first[name], second[name]) for name in first)


class RemoveAnswers(keras.callbacks.Callback):
    """Removes a teacher's answers when an epoch is done."""

    def on_epoch_end(self, epoch, logs=None):
        shutil.rmtree(cache_folder() / "teachers", ignore_errors=True)


@pytest.mark.exhaustive
def test_a_stop_while_a_teacher_answers_and_answers_that_are_removed(
    data, teacher, tmp_path
):
    config = tiny_run(tmp_path / "run", data, teacher=(teacher,), epochs=20)
    stop = StopRequest()
    stop.signal_number = 15
    job = TrainingJob.from_config(config)
    trainer = Trainer(job, stop, Stopwatch())
    with (
        job.claim_folder(),
        pytest.raises(InterruptionError, match="stopped after 0 epochs and 0 steps"),
    ):
        trainer.fit()
    assert not answers()
    stop.signal_number = None
    trainer.callbacks.insert(0, RemoveAnswers())
    with pytest.raises(
        DiskError, match=r"has been removed or changed; .*\n .*--resume"
    ):
        trainer.fit()
    assert trainer.state.epoch >= 1


def test_runs_without_a_teacher_have_the_identity_that_they_had(data, teacher):
    job = TrainingJob.from_config(tiny_run(None, data))
    taught = TrainingJob.from_config(tiny_run(None, data, teacher=(teacher,)))
    assert taught.data_identity.keys() - job.data_identity.keys() == {"teachers"}
    assert taught.config.teacher == (teacher,)
    other = taught.data_identity | {"teachers": "of others"}
    with pytest.raises(UserError, match=r"and its teachers: teachers of other then"):
        TrainingState(taught, {}, StopRequest(), Stopwatch())._check_data(other)
    with pytest.raises(UserError, match=r"a run folder has a config\.json"):
        TrainingJob.from_config(tiny_run(None, data, teacher=(data,)))
