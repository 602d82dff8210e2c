import json

import pytest
from making import write_photos

from googlenet_keras import records
from googlenet_keras.__main__ import main
from googlenet_keras.errors import UserError


def test_a_run_is_evaluated_on_its_own_data(run_folder, tmp_path, capsys):
    main(["evaluate", str(run_folder), "--json", str(tmp_path / "f.json")])
    figures = records.read_json(tmp_path / "f.json")["validation"]
    result = json.loads((run_folder / "result.json").read_text())["validation"]
    assert figures["images"] == result["images"] == 300
    assert figures["main"]["top1"] == result["main"]["top1"]
    assert figures["main"]["loss"] == pytest.approx(result["main"]["loss"], rel=1e-4)
    assert f"{figures['main']['top1']:.4f}" in capsys.readouterr().out


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
    with pytest.raises(UserError, match=r"holds config\.json"):
        main(["evaluate", str(tmp_path)])
