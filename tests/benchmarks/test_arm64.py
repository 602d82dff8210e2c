import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from emulating import PHONE, prepare_emulator, shared_cache

from benchmarks import arm64
from benchmarks.emulator import PROCESSORS, find_processor
from benchmarks.jobs import Answers, new_job, run_jobs
from benchmarks.probe import write_probe
from benchmarks.proofs import compare, spread
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json

RIGHT = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], np.float32)


def answers(probabilities, error=None):
    return Answers(np.array(probabilities), 1.0, True, error)


def test_a_difference_is_judged_by_the_limit():
    near = RIGHT.copy()
    near[0] += (0.003, -0.003, 0)
    row = compare(answers(RIGHT), answers(near), 1 / 256)
    assert (row["images"], row["bit_equal"], row["top1_equal"]) == (2, 1, 2)
    assert row["max_difference"] == pytest.approx(0.003, abs=1e-6)
    assert row["passed"]
    row = compare(answers(RIGHT), answers(near), 0.002)
    assert row["reason"] == "probabilities differ by 0.003, allowed 0.002"
    row = compare(answers(RIGHT), answers(np.full_like(RIGHT, np.nan)), 1.0)
    assert not row["passed"]


def test_another_top1_and_an_error_do_not_pass():
    row = compare(answers(RIGHT), answers(RIGHT[:, ::-1]), 1.0)
    assert (row["top1_equal"], row["passed"]) == (1, False)
    assert row["reason"] == "1 of 2 top-1 answers differ"
    row = compare(answers(RIGHT), answers([], "it\ncannot"), 1.0)
    assert (row["passed"], row["reason"]) == (False, "it cannot")


def test_photographs_are_spread_evenly():
    assert spread(100, 5) == [0, 25, 50, 74, 99]
    assert spread(3, 50) == [0, 1, 2]


def test_processors_name_what_they_can():
    with pytest.raises(UserError, match="Did you mean 'Cortex-A76'"):
        find_processor("Cortex-A77")
    assert [x.has_float16_arithmetic for x in PROCESSORS] == [False, True]
    parts = [line for line in PHONE.cpuinfo().splitlines() if "part" in line]
    assert {*parts} == {"CPU part\t: 0xd0b"}


def test_a_process_that_takes_too_long_is_ended(tmp_path):
    job = new_job(tmp_path / "none.tflite", tmp_path / "none.npy")
    with pytest.raises(UserError, match="Python takes more than 0 seconds"):
        run_jobs([sys.executable], [job], {}, 0.05, "Python")
    with pytest.raises(UserError, match="Python ends with 3"):
        run_jobs([sys.executable, "-c", "exit(3)"], [job], {}, 60, "Python")


@pytest.fixture(scope="session")
def emulator(shared_folder):
    return prepare_emulator(shared_folder)


@pytest.mark.slow
def test_an_emulator_that_computes_wrong_is_refused(emulator, tmp_path):
    """The stand-in emulates a processor with SME, which qemu 7.2 computes wrong.

    Where the emulator computes it right, another one changes each answer.
    """
    if " 7.2" not in emulator.version:
        pytest.skip(f"another emulator than the broken one: {emulator.version}")
    script = tmp_path / "qemu"
    maximal = "-cpu max,pauth-impdef=on"
    script.write_text(
        f'#!/bin/sh\n[ "$1" = -cpu ] && shift 2\nexec {emulator.qemu} {maximal} "$@"\n'
    )
    script.chmod(0o755)
    probe = write_probe(tmp_path)
    emulator.check(PHONE, probe, 600)
    with pytest.raises(UserError, match="must compute int8 as a processor does"):
        replace(emulator, qemu=script).check(PHONE, probe, 600)


@pytest.mark.slow
def test_exported_files_answer_as_here(
    emulator, run_folder, bundle, shared_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv(*shared_cache(shared_folder))
    run = shutil.copytree(run_folder, tmp_path / "run")
    monkeypatch.setattr(sys, "argv", [
        "arm64", str(run), "--count", "10", "--qemu", str(emulator.qemu),
        "--processors", PHONE.name, "--formats", "float32", "float16", "int8",
    ])  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        arm64.main()
    rows = read_json(run / "export" / "report.json")["formats"]
    assert ended.value.code == 0, rows
    for name in ("float32", "float16", "int8"):
        row = rows[name]["processors"][PHONE.name]
        assert (row["images"], row["top1_equal"], row["passed"]) == (10, 10, True)
        assert row["max_difference"] <= {"float32": 1e-6}.get(name, 1 / 256)
    # another arithmetic, or the flag does nothing
    float16 = rows["float16"]["processors"]["Cortex-A76, float16 arithmetic"]
    assert float16["passed"]
    plain = rows["float16"]["processors"][PHONE.name]
    assert float16["max_difference"] > plain["max_difference"]
    assert "processors" not in rows["dynamic"]
