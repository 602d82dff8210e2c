import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from making import one_module, small_run, write_photos

import googlenet_keras as gk
from googlenet_keras import folds
from googlenet_keras.commands import train as command
from googlenet_keras.errors import InterruptionError, UserError
from googlenet_keras.evaluation.evaluate import open_run_dataset
from googlenet_keras.files import read_json, write_json
from googlenet_keras.run_folder import RunFolder


@pytest.mark.slow
def test_every_image_is_classified_by_the_network_that_has_not_seen_it(
    tmp_path, monkeypatch, capsys
):
    data = write_photos(tmp_path / "data" / "train", {"a": 8, "b": 12}).parent
    write_photos(data / "val", {"a": 2})
    write_photos(data / "test", {"a": 1, "b": 1})
    network, folder = tmp_path / "network.json", tmp_path / "run"
    write_json(network, replace(one_module(), name="own").to_json())
    config = small_run(folder, data, architecture=network, folds=2)

    def stop_before_the_second(fold_config):
        assert fold_config.architecture == folder.resolve() / "architecture.json"
        if fold_config.fold == 2:
            raise InterruptionError("stopped", 15)
        return gk.train(fold_config)

    with monkeypatch.context() as patch:
        patch.setattr(folds, "train", stop_before_the_second)
        with pytest.raises(
            InterruptionError, match=f"(?s)fold 2 alone; .*{folder}$"
        ) as stop:
            gk.train_folds(config)
    assert stop.value.status == 143
    network.unlink()
    with pytest.raises(UserError, match="never overwritten"):
        gk.train_folds(replace(config, architecture=None))
    first = (folder / "fold-1" / "result.json").stat().st_mtime_ns
    capsys.readouterr()
    command.main(["--resume", "--run-folder", str(folder)])
    assert (folder / "fold-1" / "result.json").stat().st_mtime_ns == first
    trained = gk.CrossValidation(folder)
    pooled, (one, two) = trained.result["pooled"], trained.result["folds"]
    assert (one["test"]["images"], two["test"]["images"]) == (11, 11)
    assert pooled["images"] == 22
    loss = [row["test"]["main"]["loss"] for row in (one, two)]
    assert loss[0] != loss[1]
    assert pooled["main"]["loss"] == pytest.approx(np.mean(loss), abs=1e-5)
    (low, high), (fold_low, fold_high) = (
        figures["main"]["intervals"]["top1"] for figures in (pooled, one["test"])
    )
    assert high - low < fold_high - fold_low
    shown = capsys.readouterr()
    assert re.search(r"pooled +22 +main", shown.out)
    assert "retracing" not in shown.err
    runs = trained.runs
    files = [{*run.dataset.test.files} for run in runs]
    assert len(files[0] | files[1]) == 22
    for run, held_out in zip(runs, files, strict=True):
        assert not held_out & {*run.dataset.train.files, *run.dataset.validation.files}
        assert {*open_run_dataset(run.folder).test.files} == held_out
    page = (folder / "report.html").read_text()
    assert "2 folds on data" in page
    assert "22 out-of-fold images" in page
    assert read_json(folder / "result.json")["folds"][1]["fold"] == 2
    with pytest.raises(UserError, match=r"of several folds.*fold-1"):
        RunFolder(folder).read_result()
    again = gk.train_folds(replace(config, architecture=None, resume=True))
    assert again.result == trained.result
    # another machine, with its own paths, makes the report of the finished folds
    first_run = RunFolder(folder / "fold-1")
    write_json(first_run.config, first_run.read_config() | {"strategy": "multi-worker"})
    elsewhere = data.rename(tmp_path / "elsewhere")
    network.write_bytes((folder / "architecture.json").read_bytes())
    there = replace(config, dataset=str(elsewhere), resume=True)
    copies = [_unfinished(folder, tmp_path / name) for name in ("one", "two")]
    assert gk.train_folds(replace(there, run_folder=copies[0])).result == trained.result
    (elsewhere / "train" / "a" / "0.jpg").unlink()
    with pytest.raises(UserError, match=r"fold-\d was trained when .* had others"):
        gk.train_folds(replace(there, run_folder=copies[1]))


def _unfinished(folder, copy):
    """A copy of several folds without their report."""
    shutil.copytree(folder, copy)
    (copy / "config.json").unlink()
    (copy / "result.json").unlink()
    return copy


def test_weights_that_have_seen_the_images_are_refused(tmp_path):
    data = write_photos(tmp_path / "data", {"a": 6, "b": 6})
    run, other = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "other")
    for folder, trained_on in ((run, str(data)), (other, "digits")):
        folder.create()
        write_json(folder.config, {"dataset": trained_on})
    config = small_run(tmp_path / "new", data, architecture=None, folds=2)
    for weights in (run.path, run.classifier):
        seen = replace(config, weights=str(weights))
        for train, fold in ((gk.train_folds, 0), (gk.train, 1)):
            with pytest.raises(UserError, match=r"was trained on .*Leave out --folds"):
                train(replace(seen, fold=fold))
    with pytest.raises(UserError) as error:  # there is no classifier
        gk.train(replace(config, fold=1, weights=str(other.path)))
    assert "was trained on" not in str(error.value)


def test_folds_that_other_machines_have_trained_are_taken(tmp_path, monkeypatch):
    data, folder = write_photos(tmp_path / "data", {"a": 6, "b": 6}), tmp_path / "run"
    asked = []

    def stop(config):
        asked.append(config)
        raise InterruptionError("stopped", 15)

    monkeypatch.setattr(folds, "train", stop)
    config = small_run(folder, data, folds=2)
    (folder / "fold-2").mkdir(parents=True)
    with pytest.raises(UserError, match="never overwritten"):
        gk.train_folds(config)
    with pytest.raises(InterruptionError):
        gk.train_folds(replace(config, resume=True))
    (first,) = asked
    assert (first.fold, first.resume) == (1, True)
    assert first.run_folder == folder / "fold-1"
    assert first.dataset == str(data.resolve())
    assert read_json(folder / "config.json")["folds"] == 2
    other = replace(config, resume=True, folds=3)
    with pytest.raises(UserError, match="--folds was 2 and is 3"):
        gk.train_folds(other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "folds must be 0 or at least 2"),
        ({"folds": 3, "fold": 4}, "received folds=3 and fold=4"),
        ({"fold": 1}, "received folds=0 and fold=1"),
        ({"fold_seed": 0}, "received 0 without folds. Add --folds"),
        ({"folds": 3, "minutes": 5.0}, "give --epochs in place of --minutes 5"),
    ],
)
def test_options_that_cannot_be_together(options, message):
    with pytest.raises(UserError, match=re.escape(message)):
        gk.TrainConfig(**options)


def test_one_run_and_all_folds_are_not_mistaken_for_each_other(tmp_path):
    message = "folds=3 trains 3 networks; call train_folds, or add fold"
    with pytest.raises(UserError, match=message):
        gk.train(gk.TrainConfig(folds=3))
    with pytest.raises(UserError, match=r"needs folds, .* folds=3 and fold=1"):
        gk.train_folds(gk.TrainConfig(folds=3, fold=1))
    several = gk.TrainConfig(
        folds=3, strategy="multi-worker", run_folder=tmp_path / "r"
    )
    with pytest.raises(UserError, match="Give each --fold, from 1 to 3"):
        gk.train_folds(several)
