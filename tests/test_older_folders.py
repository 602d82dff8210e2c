"""Runs that commit 0fb9b65 wrote still open, evaluate, resume and export.

Its searches have no losses to compare and are refused; what they found is read.

tests/fixtures/0fb9b65 was made by that commit, `train.py --recipe smoke --width 0.05
--precision float32`: a finished run; one of `--epochs 3` killed in its third epoch, and
the weights it has if nobody kills it; a search, `tuning.search --recipe smoke --width
0.25 --precision float32 --epochs 1 --trials 4 --tuner random --max-macs 2M --baselines
0.0625`, killed after two trials; and the same search, finished.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import googlenet_keras as gk
from googlenet_keras.classifier import Classifier
from googlenet_keras.cli import main
from googlenet_keras.errors import UserError
from googlenet_keras.exporting.job import open_job
from googlenet_keras.files import read_json, read_json_lines
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.checkpoints import newest_checkpoint
from googlenet_keras.training.flags import read_flags
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.signals import StopRequest
from googlenet_keras.training.trainer import Trainer, train_network

ROOT = Path(__file__).parents[1]
OLDER = ROOT / "tests" / "fixtures" / "0fb9b65"


@pytest.fixture
def older(tmp_path):
    shutil.copytree(OLDER, tmp_path / "older")
    return tmp_path / "older"


def call(*arguments):
    main([*map(str, arguments)])


@pytest.mark.slow
def test_a_finished_run_evaluates_to_its_own_figures(older):
    figures = older / "figures.json"
    call("evaluate", older / "finished", "--split", "test", "--json", figures)
    now = read_json(figures)["crops"]["1"]["main"]
    then = read_json(older / "finished" / "result.json")["test"]["main"]
    assert now["top1"] == pytest.approx(then["top1"], abs=2 / 300)
    assert now["loss"] == pytest.approx(then["loss"], rel=1e-3)


def test_a_saved_classifier_opens(older):
    classifier = gk.Classifier.load(older / "finished" / "classifier")
    assert classifier.labels == tuple("0123456789")
    weights = load_file(older / "finished" / "classifier" / "weights.safetensors")
    kernel = classifier.network.get_layer("main").get_weights()[0]
    np.testing.assert_array_equal(kernel, weights["main/kernel"])


@pytest.mark.slow
def test_a_finished_run_is_converted(older):
    config = gk.ExportConfig(run_folder=older / "finished", formats=("float32",))
    with open_job(config) as job:
        (format,) = job.formats
        format.make(job.source, job.folder / format.file)  # in this process
        images = next(job.images.batches("test"))
    exported = gk.open_classifier(older / "finished" / "export" / format.file)
    expected = gk.Classifier.load(older / "finished").probabilities(images)
    np.testing.assert_allclose(exported.probabilities(images), expected, atol=1e-4)
    assert np.ptp(expected) > 0.1


@pytest.mark.exhaustive
def test_a_finished_run_exports(older):
    call("export", "--run-folder", older / "finished", "--formats", "float32")
    report = read_json(older / "finished" / "export" / "report.json")
    assert report["formats"]["float32"]["passed"]


@pytest.mark.slow
def test_a_killed_run_has_a_checkpoint_that_fits_its_network(older):
    flags = ["--resume", "--run-folder", str(older / "interrupted")]
    job = TrainingJob.from_config(read_flags(flags))
    trainer = Trainer(job, StopRequest(), Stopwatch())
    state, network = trainer.state, trainer.classifier.network
    state.resume()
    assert (state.epoch, state.step) == (2, 1)
    for part in trainer.callbacks:
        part.set_model(network)
        part.on_train_begin()
    saved, found = newest_checkpoint(job.folder.checkpoints), state._state()
    assert found.tensors.keys() == saved.tensors.keys()
    for name, value in saved.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], value, err_msg=name)


@pytest.mark.exhaustive
def test_a_killed_run_resumes_to_the_weights_of_one_left_alone(older):
    run = older / "interrupted"
    flags = ["--resume", "--run-folder", str(run), "--checkpoint-minutes", "10"]
    assert train_network(read_flags(flags)).best_epoch == 3
    resumed = load_file(run / "classifier" / "weights.safetensors")
    expected = load_file(older / "uninterrupted.safetensors")
    assert resumed.keys() == expected.keys()
    for name, value in expected.items():
        # equal bit for bit on the processor that made them; others round differently,
        # while a lost momentum or average moves weights by more than 0.01
        np.testing.assert_allclose(resumed[name], value, atol=2e-3, err_msg=name)
    lines = read_json_lines(run / "metrics.jsonl")
    assert [line["epoch"] for line in lines] == [1, 2, 3]


@pytest.mark.exhaustive
def test_a_killed_run_ends(older):
    run = older / "interrupted"
    call("train", "--resume", "--run-folder", run)
    assert Classifier.load(run).calibration  # which is newer than the folder
    assert read_json(run / "result.json")["epochs"] == 3
    assert not (run / "checkpoints").exists()


@pytest.mark.slow
def test_a_searchs_architecture_is_built_and_described(older, capsys):
    file = older / "search" / "best_architecture.json"
    call("describe", "--architecture", file, "--json", "--image-size", "32",
         "--classes", "10")  # fmt: skip
    described = json.loads(capsys.readouterr().out)
    best = read_json(older / "search" / "result.json")["best"]
    assert described["macs"] == best["macs"]
    arch = gk.Architecture.from_json(read_json(file))
    assert gk.build(arch, classes=10, image_size=32).output["main"].shape == (None, 10)


@pytest.mark.parametrize("name", ["search", "search_interrupted"])
def test_a_search_without_losses_is_refused_and_stays_as_it_is(older, name):
    def contents():
        files = (older / name).rglob("*")
        return {path: path.read_bytes() for path in files if path.is_file()}

    before = contents()
    with pytest.raises(UserError, match=r"none, since an older .* new --run-folder\."):
        call("search", "--resume", "--run-folder", older / name)
    after = contents()
    del after[older / name / ".lock"]
    assert after == before
