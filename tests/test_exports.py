from pathlib import Path

import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.exports import export, to_config
from googlenet_keras.run_folder import RunFolder


class FinishedRun:
    """As train() returns it, as far as an export needs it."""

    folder = RunFolder("runs/a")


@pytest.mark.parametrize(
    "run",
    ["runs/a", Path("runs/a"), RunFolder("runs/a"), FinishedRun()],
    ids=["text", "path", "run folder", "run"],
)
def test_a_run_and_its_folder_can_be_exported(run):
    expected = ExportConfig(run_folder=Path("runs/a"), formats=("int8",))
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
    with pytest.raises(UserError, match="a run is a folder"):
        export(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())
