import os

import pytest

from googlenet_keras.architecture.variants import VARIANTS
from googlenet_keras.errors import UserError
from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.exporting.formats import FORMATS, select_formats


def names(formats, variant):
    return [f.name for f in select_formats(formats, VARIANTS[variant])]


def test_the_newest_finished_run_is_exported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="there is no finished run in runs/"):
        ExportConfig().find_run()
    (tmp_path / "runs" / "search").mkdir(parents=True)
    (tmp_path / "runs" / "search" / "result.json").write_text("{}")
    for name in ("old", "new", "unfinished"):
        (tmp_path / "runs" / name / "classifier").mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").write_text("{}")
    for age, name in enumerate(("new", "old")):
        result = tmp_path / "runs" / name / "result.json"
        result.write_text("{}")
        os.utime(result, (1000 - age, 1000 - age))
    assert ExportConfig().find_run().path.name == "new"


def test_an_unfinished_run_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"only a finished run .* no result\.json"):
        ExportConfig(run_folder=tmp_path).find_run()


def test_a_variant_says_what_it_cannot_be():
    default = [n for n, f in FORMATS.items() if f.extra == "export"]
    assert names((), "bn") == default
    assert {*FORMATS} - {*default} == {"coreml", "coreml_int8", "openvino"}
    assert names(("openvino",), "paper") == ["openvino"]
    assert "int16x8" not in names((), "paper")
    with pytest.raises(UserError, match="paper cannot be exported as int16x8: its"):
        select_formats(("int16x8",), VARIANTS["paper"])
    with pytest.raises(UserError, match="Did you mean 'float32'"):
        ExportConfig(formats=("float23",))
    assert names(("int8", "int8"), "bn") == ["int8"]


def test_a_folder_stands_for_the_files_that_it_runs():
    assert names(("web",), "bn") == ["int8", "float32"]
    assert names(("onnx", "web", "int8"), "paper") == ["onnx", "int8", "float32"]
    assert names(("ios", "android", "float16"), "bn") == ["int8", "float16"]
    for name in ("web", "android"):
        assert ExportConfig(formats=(name,), qat_epochs=1).qat_epochs == 1


def test_options_of_a_format_that_is_not_made_are_refused():
    with pytest.raises(UserError, match="needs int8 or phone among the formats"):
        ExportConfig(formats=("float32",), qat_epochs=1)
    assert ExportConfig(formats=("phone",), qat_epochs=1).qat_epochs == 1
    with pytest.raises(UserError, match="phone_aspect needs the format phone"):
        ExportConfig(formats=("int8",), phone_aspect=0.75)
    assert ExportConfig(phone_aspect=0.75).phone_aspect == 0.75


def test_activation_maps_are_for_the_page_and_not_after_qat():
    with pytest.raises(UserError, match="needs the format web; add it"):
        ExportConfig(activation_map=True)
    with pytest.raises(UserError, match="leave one of them out"):
        ExportConfig(formats=("web",), activation_map=True, qat_epochs=2)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("calibration_images", 0, "calibration_images=0: Expected `int` >= 1"),
        ("calibration_images", 10**9, "Expected `int` <= 1000000"),
        ("qat_epochs", -1, "qat_epochs=-1: Expected `int` >= 0"),
        ("qat_epochs", 1.5, "qat_epochs=1.5: Expected `int`, got `float`"),
        ("formats", "int8", "formats must be names, such as"),
        ("onnx_layout", "nhcw", "Did you mean 'nhwc'"),
        ("license", "", "license='': Expected `str` of length >= 1"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(option, value, message):
    with pytest.raises(UserError, match=message):
        ExportConfig(**{option: value})
