from pathlib import Path

import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.exports import export, to_config
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.runs import Run


def test_a_run_and_its_folder_can_be_exported(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    expected = ExportConfig(run_folder=tmp_path, formats=("int8",))
    for run in (str(tmp_path), tmp_path, RunFolder(tmp_path), Run(tmp_path)):
        assert to_config(run, formats=("int8",)) == expected


def test_options_replace_those_of_a_config():
    config = ExportConfig(run_folder=Path("runs/a"), qat_epochs=2)
    assert to_config(config, qat_epochs=3).qat_epochs == 3
    assert to_config(config, qat_epochs=3).run_folder == Path("runs/a")
    assert to_config(None) == ExportConfig()


def test_a_wrong_value_is_refused_before_any_work(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'float32'"):
        export(tmp_path, formats=["float23"])
    with pytest.raises(UserError, match=r"such as \('int8',\)"):
        export(tmp_path, formats="int8")
    with pytest.raises(UserError, match="is not a folder"):
        export(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())
