import os
import subprocess
from typing import TypedDict

import numpy as np
import pytest
from safetensors.numpy import save

from googlenet_keras.files import convert
from googlenet_keras.training import checkpoints
from googlenet_keras.training.checkpoints import State


def state(number):
    tensors = {
        "a": np.full((1000,), number, np.float32),
        "step": np.array(number, np.uint32),
    }
    return State(tensors, {"epoch": number, "half": 0.5})


class Progress(TypedDict):
    epoch: int
    half: float


def number_in(folder):
    found = checkpoints.newest_checkpoint(folder)
    assert found.tensors["step"] == found.progress["epoch"] == found.tensors["a"][999]
    return found.progress["epoch"]


def test_the_last_of_two_generations_is_read(tmp_path):
    folder = tmp_path / "checkpoints"
    assert checkpoints.newest_checkpoint(folder) is None
    for number in range(12):
        checkpoints.write_checkpoint(folder, state(number))
    assert number_in(folder) == 11
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["00000010.safetensors", "00000010.sha256",
                     "00000011.safetensors", "00000011.sha256"]  # fmt: skip


def flip(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(("file", "damage"), [
    ("safetensors", lambda data: data[:2000]),
    ("safetensors", lambda data: b""),
    ("safetensors", lambda data: flip(data, 3000)),  # a weight
    ("safetensors", lambda data: flip(data, 40)),  # the header
    ("sha256", lambda data: flip(data, 5)),
    ("sha256", lambda data: b""),
    ("sha256", None),  # killed between the two
])  # fmt: skip
def test_a_damaged_one_is_said_and_the_one_before_it_used(
    tmp_path, capsys, file, damage
):
    for number in (0, 1):
        checkpoints.write_checkpoint(tmp_path, state(number))
    path = tmp_path / f"00000001.{file}"
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    assert number_in(tmp_path) == 0
    said = capsys.readouterr().err
    what = "damaged (" if damage else "not finished"
    assert f"00000001.safetensors is {what}" in said
    assert "; using the checkpoint before it" in said
    checkpoints.write_checkpoint(tmp_path, state(2))
    assert number_in(tmp_path) == 2
    assert len(list(tmp_path.iterdir())) == 4


def with_digest(path, data):
    path.write_bytes(data)
    checkpoints.write_bytes(
        path.with_suffix(".sha256"), checkpoints._sha256(path) + b"  its name\n"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        save({"a": np.zeros(3)}, {"progress": "[" * 10**5}),
        save({"a": np.zeros(3)}, {"progress": "{"}),
        save({"a": np.zeros(3)}, {"progress": '{"epoch": "x"}'}),
        save({"a": np.zeros(3)}, {"progress": "[]"}),
        save({"a": np.zeros(3)}, {"progress": "5"}),
        save({"a": np.zeros(3)}, {}),
        save({"a": np.zeros(3)}),
    ],
    ids=range(9),
)
def test_content_that_is_none_is_said_though_its_digest_is_right(
    tmp_path, capsys, content
):
    def check(state):
        convert(state.progress, Progress, "its progress")

    checkpoints.write_checkpoint(tmp_path, state(0))
    with_digest(tmp_path / "00000001.safetensors", content)
    found = checkpoints.newest_checkpoint(tmp_path, check=check)
    assert found.progress["epoch"] == 0
    assert "00000001.safetensors is damaged (" in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 2
    with_digest(tmp_path / "00000000.safetensors", content)
    assert checkpoints.newest_checkpoint(tmp_path, check=check) is None


def test_only_regular_files_are_checkpoints(tmp_path):
    checkpoints.write_checkpoint(tmp_path, state(0))
    os.mkfifo(tmp_path / "00000001.safetensors")
    os.mkfifo(tmp_path / "00000001.sha256")
    assert number_in(tmp_path) == 0


def test_sha256sum_can_check_it(tmp_path):
    checkpoints.write_checkpoint(tmp_path, state(3))
    check = subprocess.run(
        ["sha256sum", "--check", "00000000.sha256"], cwd=tmp_path, check=False
    )
    assert check.returncode == 0
