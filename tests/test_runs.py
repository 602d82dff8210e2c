import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from making import small_run, tiny_run, two_modules, write_photos

import googlenet_keras as gk
from googlenet_keras import runs
from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.network.weights import named_weights
from googlenet_keras.training.initial_network import new_classifier
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.trainer import TrainedNetwork


@pytest.mark.slow
def test_train_finishes_a_run_and_logs_a_line_per_epoch(tmp_path, capsys):
    photos = write_photos(tmp_path / "photos", {"a": 5, "b": 5})
    config = tiny_run(tmp_path / "run", photos, epochs=2)
    run = gk.train(config)
    for path in (run.folder.result, run.folder.report, run.folder.plots):
        assert path.exists()
    assert json.loads(json.dumps(run.result)) == read_json(run.folder.result)
    assert run.best_epoch == run.result["best_epoch"]
    assert run.config.recipe == "smoke"
    assert run.config.learning_rate == 0.05
    assert run.dataset.class_names == run.classifier.labels == ("a", "b")
    output = capsys.readouterr().out
    assert "\r" not in output
    assert "\b" not in output
    _, second = (x for x in output.splitlines() if x.startswith("epoch "))
    line = run.folder.read_epochs()[1]
    loss = line["train"]["main"]["loss"]
    assert second.startswith(f"epoch 2/2: loss {loss:.3f}, top-1 ")
    assert f"; validation loss {line['validation']['main']['loss']:.3f}, " in second
    assert f"top-1 {line['validation']['main']['top1']:.3f}; " in second
    assert second.endswith(" images/s")


@pytest.mark.exhaustive
def test_a_run_that_is_stopped_after_its_calibration_is_calibrated_once(
    tmp_path, monkeypatch
):
    photos = write_photos(tmp_path / "photos", {"a": 10, "b": 10})
    config = tiny_run(tmp_path / "run", photos, resume=True)
    monkeypatch.setattr(runs, "write_report", stop)
    with pytest.raises(KeyboardInterrupt):
        gk.train(config)
    monkeypatch.undo()
    first = gk.Classifier.load(config.run_folder / "classifier")
    assert first.calibration
    run = gk.train(config)
    assert run.classifier.calibration == first.calibration
    for name, value in named_weights(first.network).items():
        np.testing.assert_array_equal(
            named_weights(run.classifier.network)[name], value
        )
    again = gk.evaluate(run.classifier, run.dataset).figures()
    for figure in ("loss", "top1", "coverage_90", "set_size_95"):
        reported = run.result["validation"]["main"][figure]
        assert again["main"][figure] == pytest.approx(reported, abs=1e-5)
    assert not list(run.folder.path.glob("*.tmp"))


def stop(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_network_that_is_calibrated_stays_as_it_is(run_folder, tmp_path):
    """As of a run that was stopped after that; its figures are those reported."""
    run = gk.Run(shutil.copytree(run_folder, tmp_path / "run"))
    before = (run.folder.classifier / "classifier.json").stat().st_mtime_ns
    evaluation = gk.evaluate(run.classifier, run.dataset)
    assert runs._calibrate(run, evaluation) is evaluation
    assert (run.folder.classifier / "classifier.json").stat().st_mtime_ns == before
    figures = evaluation.figures()["main"]
    for name in ("loss", "top1", "coverage_90", "set_size_95"):
        reported = run.result["validation"]["main"][name]
        assert figures[name] == pytest.approx(reported, abs=1e-5)


@pytest.mark.slow
def test_a_finished_run_is_opened(run_folder):
    before = (run_folder / "result.json").stat().st_mtime_ns
    run = gk.train(replace(gk.Run(run_folder).config, resume=True))
    assert run.result["epochs"] == 2
    assert (run_folder / "result.json").stat().st_mtime_ns == before
    saved = gk.Classifier.load(run_folder)
    for name, value in named_weights(run.classifier.network).items():
        np.testing.assert_array_equal(value, named_weights(saved.network)[name])


def test_a_finished_run_has_the_options_that_it_was_trained_with(run_folder):
    config = replace(gk.Run(run_folder).config, resume=True, seed=7)
    with pytest.raises(UserError, match="--seed was 0 and is 7"):
        gk.train(config)
    with pytest.raises(UserError, match="never overwritten"):
        gk.train(replace(config, resume=False))


def test_published_weights_are_found_by_name(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'torchvision'"):
        gk.train(gk.TrainConfig(weights="torchvison", run_folder=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_run_is_a_folder_that_has_started(tmp_path):
    with pytest.raises(UserError, match=r"a run folder has a config\.json"):
        gk.Run(tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("error:Glyph")
def test_a_run_ends_whatever_its_classes_are_called(tmp_path, capsys):
    names = {
        "\u732b": 5,
        "\u0e41\u0e21\u0e27": 5,
        "\U0001f408\u200d\u2b1b": 5,
        "caf\xe9": 5,
    }
    photos = write_photos(tmp_path / "photos", names)
    file = photos / "caf\xe9" / "0.jpg"
    file.rename(file.with_name("caf\udce9.jpg"))
    run = gk.train(tiny_run(tmp_path / "run", photos))
    shown = capsys.readouterr().err
    assert "no installed font has every character of 3 class names" in shown
    report = run.folder.report.read_text()
    assert "class 3 is \u732b" in report
    assert "class 4 is \U0001f408" in report
    assert run.classifier.labels == (*sorted(names),)


@pytest.fixture
def of_three_splits(tmp_path):
    """The options of a run whose data set has test images."""
    for split in ("train", "val", "test"):
        write_photos(tmp_path / "photos" / split, {"a": 4, "b": 4})
    return tiny_run(tmp_path / "run", tmp_path / "photos", resume=True)


@pytest.mark.slow
def test_an_image_that_is_gone_in_the_final_evaluation_is_named_with_the_way_out(
    of_three_splits, tmp_path, monkeypatch
):
    job = TrainingJob.from_config(of_three_splits)
    with job.claim_folder():  # as if the training had ended
        new_classifier(job, (32, 32)).save(job.folder.classifier)
    path = tmp_path / "photos" / "test" / "b" / "1.jpg"
    path.unlink()
    trained = TrainedNetwork(job, best_epoch=1)
    monkeypatch.setattr(runs, "train_network", lambda *_: trained)
    with pytest.raises(UserError, match=f"{path} is gone.* put it back") as error:
        gk.train(of_three_splits)
    assert f"train --resume --run-folder {job.folder}" in str(error.value)


@pytest.mark.exhaustive
def test_a_run_ends_when_the_image_is_put_back(of_three_splits, tmp_path, monkeypatch):
    root, config = tmp_path / "photos", of_three_splits
    path = root / "test" / "b" / "1.jpg"
    content = path.read_bytes()
    trained = runs.train_network(config, None, None)  # all but the final evaluation
    assert trained.best_epoch == 1
    monkeypatch.setattr(runs, "train_network", lambda *_: path.unlink() or trained)
    with pytest.raises(UserError, match=f"{path} is gone.* put it back") as error:
        gk.train(config)
    assert f"train --resume --run-folder {config.run_folder}" in str(error.value)
    monkeypatch.undo()
    path.write_bytes(content)
    assert gk.train(config).result["test"]["images"] == 8


@pytest.mark.exhaustive
def test_a_network_that_the_paper_argues_against_is_trained(tmp_path):
    photos = write_photos(tmp_path / "photos", {"a": 5, "b": 5})
    arch = ablate(two_modules(), module="naive", head="dense")
    write_json(tmp_path / "network.json", arch.to_json())
    run = gk.train(
        replace(
            small_run(tmp_path / "run", photos), architecture=tmp_path / "network.json"
        )
    )
    assert run.classifier.architecture == arch
    loaded = gk.Classifier.load(run.folder.classifier)
    assert loaded.architecture == arch
    report = run.folder.report.read_text()
    assert "bn_naive_dense" in report
    assert "class activation map" not in report  # they need average pooling
