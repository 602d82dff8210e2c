import json
from dataclasses import replace

import pytest
from making import full_device, write_photos

from googlenet_keras.classifier import Classifier
from googlenet_keras.cli import main
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json


@pytest.mark.slow
def test_a_run_is_evaluated_on_its_own_data(run_folder, tmp_path, capsys):
    main(["evaluate", str(run_folder), "--json", str(tmp_path / "f.json")])
    report = read_json(tmp_path / "f.json")
    assert report["split"] == "validation"
    assert report["phone_gap"] is None
    figures = report["crops"]["1"]
    assert sum(row["images"] for row in figures["classes"].values()) == 300
    assert sum(map(sum, figures["confusion"])) == 300
    low, high = figures["main"]["intervals"]["top1"]
    assert low < figures["main"]["top1"] < high
    result = json.loads((run_folder / "result.json").read_text())["validation"]
    assert figures["images"] == result["images"] == 300
    assert figures["main"]["top1"] == result["main"]["top1"]
    assert figures["main"]["loss"] == pytest.approx(result["main"]["loss"], rel=1e-4)
    assert f"{figures['main']['top1']:.4f}" in capsys.readouterr().out


@pytest.mark.slow
def test_other_data_and_split(run_folder, tmp_path, capsys):
    write_photos(tmp_path / "train", {"1": 2, "7": 2})
    write_photos(tmp_path / "test", {"1": 1, "7": 2})
    main(["evaluate", str(run_folder), "--dataset", str(tmp_path), "--split", "test"])
    out = capsys.readouterr().out
    assert "test" in out
    assert " 3 " in out


def test_a_classifier_alone_needs_the_data_named(run_folder):
    with pytest.raises(UserError, match="name the data with --dataset"):
        main(["evaluate", str(run_folder / "classifier")])


def test_what_is_no_run(tmp_path):
    with pytest.raises(UserError, match=r"a run folder has a config\.json"):
        main(["evaluate", str(tmp_path)])


@pytest.mark.slow
def test_crops_and_an_ensemble(run_folder, tmp_path, capsys):
    write_photos(tmp_path / "train", {"1": 2, "7": 2})
    write_photos(tmp_path / "test", {"1": 3, "7": 4})
    data = ["--dataset", str(tmp_path), "--split", "test"]
    path = tmp_path / "f.json"
    twice = [str(run_folder), str(run_folder / "classifier")]
    main(["evaluate", *twice, *data, "--crops", "10", "phone", "--json", str(path)])
    report = read_json(path)
    assert list(report["crops"]) == ["10", "phone", "1"]
    assert report["phone_gap"]["top1"] == pytest.approx(
        report["crops"]["1"]["main"]["top1"] - report["crops"]["phone"]["main"]["top1"]
    )
    main(["evaluate", str(run_folder), *data, "--json", str(path)])
    alone = read_json(path)["crops"]["1"]
    assert alone["main"]["loss"] == pytest.approx(
        report["crops"]["1"]["main"]["loss"], rel=1e-5
    )  # an ensemble of a network with itself


def test_crops_that_there_are_not(run_folder):
    with pytest.raises(UserError, match="crops must be one of 1, 10, 144, phone"):
        main(["evaluate", str(run_folder), "--crops", "11"])


@pytest.mark.parametrize("flag", ["--json", "--report"])
def test_files_that_could_not_be_written(run_folder, flag):
    with pytest.raises(UserError, match="needs a name in an existing folder"):
        main(["evaluate", str(run_folder), flag, "."])


def test_no_crops(run_folder):
    with pytest.raises(UserError, match="--crops needs one kind at least"):
        main(["evaluate", str(run_folder), "--crops"])


def test_no_model():
    with pytest.raises(UserError, match="evaluate needs a run"):
        main(["evaluate"])


@pytest.mark.slow
def test_no_name_is_cut_off_a_terminal(run_folder, tmp_path, capsys):
    names = {"a" * 120: 2, "b" * 120: 2}
    write_photos(tmp_path / "train", names)
    write_photos(tmp_path / "validation", names)
    classifier = Classifier.load(run_folder)
    labels = (*names, *classifier.labels[2:])
    replace(classifier, labels=labels).save(tmp_path / "classifier")
    main(["evaluate", str(tmp_path / "classifier"), "--dataset", str(tmp_path)])
    out = capsys.readouterr().out
    assert out.startswith("validation, crops")
    for name in names:
        assert f"{name} " in out


@pytest.mark.slow
def test_a_folder_without_splits_is_evaluated_whole(run_folder, tmp_path, capsys):
    root = write_photos(tmp_path / "photos", {"1": 7, "7": 3})
    path = tmp_path / "f.json"
    main(["evaluate", str(run_folder), "--dataset", str(root), "--json", str(path)])
    assert read_json(path)["crops"]["1"]["images"] == 10
    shown = capsys.readouterr()
    assert f"{root} has no split folders: all 10 images" in shown.out
    assert "no validation images of 8 of the 10 classes" in shown.err
    assert "0, 2, 3, 4, 5 and 3 more" in shown.err


@pytest.mark.slow
def test_one_class_is_enough(run_folder, tmp_path):
    root = write_photos(tmp_path / "photos", {"7": 3})
    path = tmp_path / "f.json"
    main(["evaluate", str(run_folder), "--dataset", str(root), "--json", str(path)])
    assert read_json(path)["crops"]["1"]["classes"]["7"]["images"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--json", "--report"])
def test_a_full_disk_is_said(run_folder, tmp_path, flag):
    full = full_device(tmp_path / "full")
    root = write_photos(tmp_path / "photos", {"1": 2, "7": 2})
    with pytest.raises(UserError, match="full cannot be written: No space left"):
        main(["evaluate", str(run_folder), "--dataset", str(root), flag, str(full)])
    assert full.is_char_device()


def test_an_empty_data_set_is_not_the_runs_own(run_folder):
    with pytest.raises(UserError, match="no file or folder has an empty name"):
        main(["evaluate", str(run_folder), "--dataset", ""])


def test_networks_of_different_folds_are_no_ensemble(tmp_path):
    def run(name, **options):
        folder = tmp_path / name
        folder.mkdir()
        write_json(folder / "config.json", {"dataset": "digits", "seed": 0} | options)
        return folder

    plain, other = run("plain"), run("other", dataset=str(tmp_path))
    one, two = (run(f"fold-{i}", folds=5, fold=i) for i in (1, 2))
    again, reseeded = (run(f"{i}", folds=5, fold=1, seed=i) for i in (0, 1))
    refused = [
        (one, two, "test"),
        (one, two / "classifier", "validation"),
        (one, plain, "test"),
        (one, reseeded, "test"),
        (plain, two, "validation"),
    ]
    for first, second, split in refused:
        (second / "classifier").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=r"\S+ was trained on some that .* holds"):
            main(["evaluate", str(first), str(second), "--split", split])
    allowed = [(one, again, "test"), (plain, two, "test"), (one, other, "test")]
    for first, second, split in allowed:
        with pytest.raises(UserError, match="classifier"):  # there is none
            main(["evaluate", str(first), str(second), "--split", split])
    with pytest.raises(UserError, match="classifier"):
        main(["evaluate", str(one), str(two), "--dataset", str(tmp_path)])
