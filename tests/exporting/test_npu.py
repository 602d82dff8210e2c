import sys
from types import ModuleType

import pytest
from making_artifacts import LABELS, tflite

from googlenet_keras.artifacts.artifact import Contents
from googlenet_keras.errors import UserError
from googlenet_keras.exporting import npu
from googlenet_keras.exporting.config import ExportConfig
from googlenet_keras.exporting.npu import VENDORS, NpuTarget, compile_for_npu


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SM8750", "must be VENDOR:CHIP, such as qualcomm:SM8750; received 'SM8750'"),
        ("qualcomm:", "must be VENDOR:CHIP"),
        ("qualcom:SM8750", "Did you mean 'qualcomm'"),
    ],
)
def test_a_target_is_a_vendor_and_a_chip(text, message):
    with pytest.raises(UserError, match=message):
        ExportConfig(npu=(text,))


def test_only_integer_files_are_compiled():
    with pytest.raises(UserError, match="npu needs int8 or phone among the formats"):
        ExportConfig(formats=("float32",), npu=("qualcomm:SM8750",))


def test_an_unknown_chip_and_a_missing_sdk_are_said_at_once():
    with pytest.raises(UserError, match="Did you mean 'SM8750'"):
        NpuTarget.parse("qualcomm:SM8751").check()
    with pytest.raises(UserError) as error:
        NpuTarget.parse("qualcomm:SM8750").check()
    assert "pip install ai-edge-litert-sdk-qualcomm" in str(error.value)


@pytest.mark.parametrize("vendor", VENDORS)
def test_litert_knows_every_vendor(vendor):
    chips = NpuTarget(vendor, "ALL")._module("target").SocModel
    assert NpuTarget(vendor, [*chips][-1].value).litert_target()


@pytest.mark.slow
def test_without_the_sdk_the_real_compiler_refuses(tmp_path):
    """The compiler that comes with LiteRT runs, and its error arrives."""
    file = tflite(tmp_path / "int8.tflite")
    with pytest.raises(ValueError, match="apply_plugin"):
        compile_for_npu(file, NpuTarget("qualcomm", "SM8750"))
    assert [path.name for path in tmp_path.iterdir()] == ["int8.tflite"]


def test_the_compiled_file_keeps_what_is_inside(tmp_path, monkeypatch):
    """In place of the vendor's compiler, which is not to be had here."""

    def compile(path, *, output_dir, target, keep_going):
        assert (target.soc_model, keep_going) == ("SM8750", False)
        compiled = npu.Path(output_dir, "compiled.tflite")
        compiled.write_bytes(npu.Path(path).read_bytes()[:200])
        graph = types.SubgraphPartitionStats(0, 2, 3, 1)
        model = types.Model(compiled)
        model.partition_stats = types.PartitionStats([graph])
        return types.CompilationResult([(None, model)])

    from ai_edge_litert.aot.core import aot_types as types

    stand_in = ModuleType("aot_compile")
    stand_in.aot_compile = compile
    monkeypatch.setitem(sys.modules, "ai_edge_litert.aot.aot_compile", stand_in)
    monkeypatch.setattr("ai_edge_litert.aot.aot_compile", stand_in, raising=False)
    file = tflite(tmp_path / "int8.tflite")
    row = compile_for_npu(file, NpuTarget("qualcomm", "SM8750"))
    assert row == {
        "file": "int8_qualcomm_SM8750.tflite", "operators": 3, "operators_on_npu": 2,
        "reason": None,
    }  # fmt: skip
    assert Contents.read(tmp_path / row["file"]).labels == LABELS
