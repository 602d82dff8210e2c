import pytest

"""`python train.py` as a user calls it, and what it leaves behind."""

import json

from making import call_main, one_module, write_photos
from matplotlib.image import imread

import train
from googlenet_keras.files import read_json, read_json_lines, write_json


def test_a_run_leaves_everything_behind(run_folder):
    files = {p.relative_to(run_folder).as_posix() for p in run_folder.rglob("*")}
    assert {
        "config.json",
        "environment.json",
        "metrics.jsonl",
        "result.json",
        "classifier/classifier.json",
        "classifier/weights.safetensors",
        "plots/curves.png",
        "plots/confusion_matrix.png",
        "plots/predictions.png",
    } <= files
    assert any(f.startswith("tensorboard/train/events") for f in files)
    assert not [f for f in files if f.endswith(".tmp")]
    for name in ("curves", "confusion_matrix", "predictions"):
        assert imread(run_folder / "plots" / f"{name}.png").std() > 0.05


def test_result_json_has_the_agreed_shape(run_folder):
    result = json.loads((run_folder / "result.json").read_text())
    assert set(result) == {"validation", "test", "epochs", "best_epoch", "seconds",
                           "cpu_seconds", "peak_megabytes"}  # fmt: skip
    for split in ("validation", "test"):
        assert set(result[split]) == {"images", "main", "aux1", "aux2"}
        figures = {"top1", "top5", "macro_f1", "loss", "calibration_error"}
        assert set(result[split]["aux1"]) == {*figures, "intervals"}
        assert set(result[split]["aux1"]["intervals"]) == figures
        coverages, sizes = (
            {f"{name}_90", f"{name}_95"} for name in ("coverage", "set_size")
        )
        main = result[split]["main"]
        assert set(main) == {*figures, *coverages, *sizes, "intervals"}
        assert set(main["intervals"]) == {*figures, *coverages}
        assert result[split]["images"] == 300
    assert result["epochs"] == 2


def test_the_validation_during_training_is_the_one_reported(run_folder):
    lines = read_json_lines(run_folder / "metrics.jsonl")
    result = read_json(run_folder / "result.json")
    assert [line["epoch"] for line in lines] == [1, 2]
    best = lines[result["best_epoch"] - 1]["validation"]["main"]
    # trained in this machine's fastest precision, evaluated in float32
    assert abs(best["top1"] - result["validation"]["main"]["top1"]) <= 0.02
    assert result["validation"]["main"]["loss"] < best["loss"]  # it is calibrated
    aux1 = lines[result["best_epoch"] - 1]["validation"]["aux1"]
    assert abs(aux1["loss"] - result["validation"]["aux1"]["loss"]) <= 0.02


def test_tensorboard_reads_the_curves(run_folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_folder / "tensorboard" / "validation"))
    events.Reload()
    assert "epoch_main_top1" in events.Tags()["tensors"]


@pytest.mark.slow
def test_it_learns_colours_of_a_folder_with_two_classes(tmp_path, capsys):
    root = write_photos(tmp_path / "data", {"red": 40, "[green]": 40})
    folder, file = tmp_path / "run", tmp_path / "architecture.json"
    write_json(file, one_module().to_json())
    call_main(
        train.main,
        *("--recipe", "smoke", "--dataset", str(root), "--run-folder", str(folder)),
        *("--architecture", str(file), "--width", "1", "--precision", "float32"),
        *("--epochs", "8", "--batch-size", "4"),
    )
    result = read_json(folder / "result.json")
    assert result["validation"]["main"]["top1"] >= 0.9
    assert result["validation"]["main"]["top5"] is None
    assert result["test"] is None
    assert str(folder) in capsys.readouterr().out.replace("\n", "")
