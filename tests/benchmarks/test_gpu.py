import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.jobs import Answers
from benchmarks.proofs import ExportedFile
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json

RIGHT = np.array([[0.7, 0.2, 0.1]], np.float32)


def verdict(is_whole, refuses, found=RIGHT):
    """Judges a file; is_whole: the GPU takes all of it; refuses: as reported."""
    file = ExportedFile(None, "int8", Path("int8.tflite"), refuses)
    expected = Answers(RIGHT, 1.0, True, None)
    row = gpu.judge(file, expected, Answers(found, 1.0, is_whole, None))
    return row["passed"], row["reason"]


def test_a_refusal_must_be_the_one_that_the_report_tells():
    assert verdict(True, ()) == (True, None)
    assert verdict(False, ()) == (False, "some operators are left to the CPU")
    assert verdict(False, ("RSQRT",)) == (
        True, "refused, as report.json says: RSQRT"
    )  # fmt: skip
    passed, reason = verdict(True, ("RSQRT",))
    assert (passed, "although" in reason) == (False, True)
    assert verdict(True, (), RIGHT[:, ::-1])[0] is False


def test_a_missing_driver_is_named(tmp_path):
    with pytest.raises(UserError, match="apt-get install chromium"):
        gpu.vulkan(tmp_path / "driver.json")


@pytest.mark.slow
@pytest.mark.skipif(not gpu.SWIFTSHADER.exists(), reason="needs Debian's chromium")
def test_the_gpu_takes_exported_files(run_folder, bundle, tmp_path, monkeypatch):
    try:
        gpu.vulkan(gpu.SWIFTSHADER)
    except UserError as error:
        pytest.skip(f"needs packages of Debian: {error}")
    run = shutil.copytree(run_folder, tmp_path / "run")
    monkeypatch.setattr(sys, "argv", [
        "gpu", str(run), "--count", "4", "--formats", "float16", "int8", "int16x8",
    ])  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    rows = read_json(run / "export" / "report.json")["formats"]
    assert ended.value.code == 0, rows
    for name in ("float16", "int8"):
        row = rows[name]["processors"]["GPU (SwiftShader)"]
        assert (row["fully_accelerated"], row["top1_equal"]) == (True, 4)
    row = rows["int16x8"]["processors"]["GPU (SwiftShader)"]
    assert (row["fully_accelerated"], row["passed"]) == (False, True)
    assert row["reason"].startswith("refused, as report.json says")
