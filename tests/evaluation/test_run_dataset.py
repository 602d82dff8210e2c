import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.run_dataset import open_run_dataset
from googlenet_keras.files import write_json
from googlenet_keras.run_folder import RunFolder


def test_the_data_of_a_run_is_split_as_in_training(photos, tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create()
    root = photos(a=4, b=8)
    write_json(run.config, {"dataset": str(root), "validation_fraction": 0.5})
    data = open_run_dataset(run)
    assert (data.train.count, data.validation.count) == (6, 6)
    assert open_run_dataset(run, "digits").name == "digits"


def test_a_folder_that_names_no_data_needs_one(tmp_path):
    with pytest.raises(UserError, match="name the data with --dataset"):
        open_run_dataset(RunFolder(tmp_path))
    assert open_run_dataset(RunFolder(tmp_path), "digits").train.count == 1197
