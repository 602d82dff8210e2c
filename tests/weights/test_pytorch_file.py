import os
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from making_pytorch import TENSORS, Tensor, legacy, pickled, zipped

from googlenet_keras.errors import UserError
from googlenet_keras.weights import pytorch_file, weight_file
from googlenet_keras.weights.from_torchvision import read
from googlenet_keras.weights.pytorch_file import PYTORCH_MAGIC_NUMBER, parse_pytorch


@pytest.mark.parametrize("write", [zipped, legacy])
def test_every_tensor_as_it_was(torch_names, tmp_path, write):
    found = parse_pytorch(write(tmp_path / "a.pth"))
    assert found.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


def test_a_checkpoint_with_the_state_dict_inside(torch_names, tmp_path):
    wrap = lambda state: {"model": state, "epoch": 3}  # noqa: E731
    found = parse_pytorch(zipped(tmp_path / "a.pth", wrap=wrap))
    assert found.keys() == TENSORS.keys()


class Evil:
    def __reduce__(self):
        return eval, ("open('executed', 'w')",)


@pytest.mark.parametrize("evil", [Evil(), {"a": Evil()}, [Evil()], (1, Evil())])
def test_nothing_is_called(tmp_path, monkeypatch, evil):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pth"
    path.write_bytes(
        b"".join(pickle.dumps(x, 2) for x in (PYTORCH_MAGIC_NUMBER, 1001, {}, evil))
    )
    with pytest.raises(UserError, match=r"it asks for '(builtins|__builtin__)\.eval'"):
        parse_pytorch(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickle.dumps(evil, 4))
    with pytest.raises(UserError, match=r"it asks for '(builtins|__builtin__)\.eval'"):
        parse_pytorch(path)
    assert not (tmp_path / "executed").exists()


class Object:
    """A whole network pickled, say."""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Object(), "it asks for .*Object.*, which no weights need"),
        ({"a": 1}, "it holds no state_dict"),
        ([1], "it holds no state_dict"),
        ({(1, 2): 3}, "it holds no state_dict"),
        (b"bytes", "it asks for '_codecs.encode'"),
        ([0] * 200_000, "it holds no state_dict"),
    ],
)
def test_what_is_no_state_dict(tmp_path, value, text):
    path = tmp_path / "a.pth"
    path.write_bytes(
        b"".join(pickle.dumps(x, 2) for x in (PYTORCH_MAGIC_NUMBER, 1001, {}, value))
    )
    with pytest.raises(UserError, match=text):
        parse_pytorch(path)


def test_compressed_numbers(torch_names, tmp_path):
    path = zipped(tmp_path / "a.pth", compression=zipfile.ZIP_DEFLATED)
    found = parse_pytorch(path)
    np.testing.assert_array_equal(found["b"], TENSORS["b"])


def test_an_archive_without_a_pickle(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data/0", bytes(16))
    with pytest.raises(UserError, match=r"no data\.pkl"):
        parse_pytorch(path)


class Reaching(Tensor):
    """A tensor with another shape, strides or offset than its numbers have."""

    def __init__(self, offset, shape, strides):
        super().__init__("0", np.zeros(4, np.float32))
        self.rest = offset, shape, strides

    def __reduce__(self):
        rebuild, (stored, *_) = super().__reduce__()
        return rebuild, (stored, *self.rest, False, OrderedDict())


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (0, (2,), (4,)),
        (0, (10**12,), (0,)),  # terabytes of the same number
        (0, (-1,), (1,)),
        (0, (2,), (-1,)),
        (-1, (2,), (1,)),
        (0, (2, 2), (1,)),
        (0, (2**62, 2**62), (0, 0)),
        (0, (2**300_000,) * 100, (0,) * 100),  # sides that take for ever to multiply
    ],
)
def test_a_tensor_that_reaches_beyond_its_numbers(
    torch_names, tmp_path, offset, shape, strides
):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        made = {"a": Reaching(offset, shape, strides)}
        archive.writestr("net/data.pkl", pickled(made))
        archive.writestr("net/data/0", bytes(16))
    with pytest.raises((ValueError, OverflowError)):
        parse_pytorch(path)


class Forged:
    """A tensor whose storage is no reference to one, with a dtype of its own."""

    def __init__(self, storage):
        self.storage = storage

    def __reduce__(self):
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (self.storage, 0, (1,), (1,), False, OrderedDict())


@pytest.mark.parametrize(
    "storage", [("O", "0"), (OrderedDict(names=["a"], formats=["O"]), "0"), "0", None]
)
def test_a_pickle_makes_no_storage_of_its_own(torch_names, tmp_path, storage):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickled({"a": Forged(storage)}))
        archive.writestr("net/data/0", bytes(16))
    with pytest.raises(UserError, match="a tensor that PyTorch would not write"):
        parse_pytorch(path)


def test_an_empty_storage_has_no_numbers(torch_names, tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickled({"a": Reaching(0, (1000,), (1,))}))
        archive.writestr("net/data/0", b"")
    with pytest.raises(UserError, match="not those of its numbers"):
        parse_pytorch(path)


def bomb(levels=40):
    """Pairs of pairs of pairs: 2**levels when written out."""
    return b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(levels))


HEAD = pickle.dumps(PYTORCH_MAGIC_NUMBER, 2)
LONG = b"\x8b" + struct.pack("<i", 40_000) + b"\x01" * 40_000  # a number of 40 kB
STATE = HEAD + b"".join(pickle.dumps(x, 2) for x in (1001, {}, {}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (HEAD + b"\x80\x04" + bomb() + b"\x8c\x01x\x93.", "STACK_GLOBAL requires str"),
        (STATE + b"\x80\x02]" + bomb() + b"a." + bytes(8), "more memory or time"),
        (HEAD + b"\x80\x02}" + bomb() + b"Ns.", "more memory or time"),
        (HEAD + b"\x80\x02(" + LONG + b"2" * 800 + b"t.", "Ran out of input"),
        (b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.", "exceeds|truncated"),
        (HEAD + b"\x80\x02)r\xff\xff\xff\x7f.", "more memory or time"),
        (HEAD + b"(" * 2**22 + b"l.", "."),
        (HEAD + b"]q\0" + b"(" + b"h\0" * 2**20 + b"e.", "Ran out of input"),
    ],
    ids=[
        "nested tuples as a name",
        "nested tuples as a key",
        "nested tuples as a dictionary's key",
        "a long tuple",
        "a long text",
        "a large memo",
        "many marks",
        "an endless list",
    ],
)
def test_what_takes_all_memory_or_for_ever(tmp_path, monkeypatch, data, text):
    limits = weight_file.PARSER_LIMITS | {"cpu_seconds": 3}
    monkeypatch.setattr(weight_file, "PARSER_LIMITS", limits)
    path = tmp_path / "a.pth"
    path.write_bytes(data)
    before = os.times()
    with pytest.raises(UserError, match=text) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path} is no valid PyTorch file: ")
    assert "\n" not in str(caught.value)
    after = os.times()
    assert after.user - before.user < 1  # in this process


def test_numbers_shared_by_many_tensors(torch_names, tmp_path, monkeypatch):
    monkeypatch.setattr(pytorch_file, "MAX_FILE_BYTES", 100)
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        made = {str(i): Reaching(0, (2, 2), (1, 2)) for i in range(8)}
        archive.writestr("net/data.pkl", pickled(made))
        archive.writestr("net/data/0", bytes(16))
    with pytest.raises(UserError, match="more numbers than any GoogLeNet"):
        parse_pytorch(path)


def test_parts_that_are_larger_in_all_than_a_file(torch_names, tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.pth")
    monkeypatch.setattr(pytorch_file, "MAX_FILE_BYTES", 100)
    with pytest.raises(UserError, match="it has more numbers than any GoogLeNet"):
        parse_pytorch(path)


def test_more_numbers_than_the_file_has(torch_names, tmp_path):
    path = legacy(tmp_path / "a.pth")
    count = struct.pack("<q", TENSORS["a.weight"].size)
    assert path.read_bytes().count(count) == 1
    path.write_bytes(path.read_bytes().replace(count, struct.pack("<q", 2**45)))
    with pytest.raises(struct.error, match="buffer of 8 bytes"):
        parse_pytorch(path)


def test_a_truncated_file(torch_names, tmp_path):
    for write in (zipped, legacy):
        path = write(tmp_path / "a.pth")
        whole = path.read_bytes()
        for length in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            with pytest.raises(UserError, match="no valid PyTorch file"):
                read(path)
