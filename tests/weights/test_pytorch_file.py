import argparse
import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from making_pytorch import TENSORS, Tensor, legacy, pickled, zipped

from googlenet_keras.errors import UserError
from googlenet_keras.weights import pytorch_file, weight_file
from googlenet_keras.weights.from_torchvision import read
from googlenet_keras.weights.pytorch_file import PYTORCH_MAGIC_NUMBER, parse_pytorch


@pytest.mark.parametrize("write", [zipped, legacy])
def test_every_tensor_as_it_was(torch_names, tmp_path, write):
    place, found = parse_pytorch(write(tmp_path / "a.pth"))
    assert place == ""
    assert found.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


class Epochs(dict):
    """A dictionary of somebody's own class."""


class Scores(list):
    """A list of somebody's own class."""


class Names(set):
    """A set of somebody's own class."""


# what training scripts save beside the weights
OTHERS = {
    "args": argparse.Namespace(lr=0.1, output_dir=Path("runs")),
    "optimizer": {"state": {0: {"momentum_buffer": Tensor("0", TENSORS["a.weight"])}}},
    "epoch": 3,
    "history": [Epochs(best=1), Scores([0.5]), Names({"a"}), complex(1, 2), b"bytes"],
    "rng_state": Tensor("7", np.zeros(5, np.uint8)),
}
FEW = {"b": Tensor("2", TENSORS["b"])}


@pytest.mark.parametrize("write", [zipped, legacy])
@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda state: {"model": state, **OTHERS}, "model"),
        (lambda state: {**OTHERS, "state_dict": state}, "state_dict"),
        (lambda state: {"model_state_dict": state, "loss": 0.5}, "model_state_dict"),
        (lambda state: {"ema": state, "optimizer": OTHERS["optimizer"]}, "ema"),
        (lambda state: {"model_ema": state, "model": state | {}}, "model"),
        (lambda state: {"model": FEW, "ema": state}, "ema"),
        (lambda state: {"best": {"net": {"weights": state}}}, "best.net.weights"),
    ],
    ids=["torchvision", "others first", "PyTorch's tutorial", "averages alone",
         "averages beside it", "a part beside it", "nested"],
)  # fmt: skip
def test_the_tensors_of_a_training_script_wherever_they_are(
    torch_names, tmp_path, write, wrap, place
):
    found_place, found = parse_pytorch(write(tmp_path / "a.pth", wrap=wrap))
    assert found_place == place
    assert found.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(found[name], value)


def test_a_dictionary_that_holds_itself(torch_names, tmp_path):
    def wrap(state):
        whole = {"model": state}
        whole["self"] = whole
        return whole

    assert parse_pytorch(zipped(tmp_path / "a.pth", wrap=wrap))[0] == "model"


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
    with pytest.raises(UserError, match="it holds no state_dict"):
        parse_pytorch(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickle.dumps(evil, 4))
    with pytest.raises(UserError, match="it holds no state_dict"):
        parse_pytorch(path)
    assert not (tmp_path / "executed").exists()


COMMAND = b"(S'touch executed'\n"


@pytest.mark.parametrize(
    "made",
    [
        b"cos\nsystem\n" + COMMAND + b"tR",
        COMMAND + b"ios\nsystem\n",
        b"(cos\nsystem\nS'touch executed'\no",
        b"\x80\x02csubprocess\nPopen\n" + COMMAND + b"t\x81",
        b"\x80\x04csubprocess\nPopen\n" + COMMAND + b"t}\x92",
        b"cos\nsystem\n)RS'touch executed'\nb",
        b"cos\nsystem\n}S'system'\nS'touch executed'\nsb",
        b"cos\nsystem\n)RS'touch executed'\na",
        b"cos\nsystem\n)R" + COMMAND + b"e",
        b"cos\nsystem\n)RS'a'\nS'touch executed'\ns",
        b"\x80\x04cos\nsystem\n)R" + COMMAND + b"\x90",
        b"cbuiltins\ngetattr\n(cos\nS'system'\ntR" + COMMAND + b"tR",
    ],
    ids=["REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "BUILD of a class",
         "APPEND", "APPENDS", "SETITEM", "ADDITEMS", "REDUCE of a result"],
)  # fmt: skip
def test_every_way_to_make_an_object_gives_the_same_that_does_nothing(
    tmp_path, monkeypatch, made
):
    monkeypatch.chdir(tmp_path)
    skipped = pytorch_file._Unpickler(io.BytesIO(b"cos\nsystem\n)R.")).load()
    found = pytorch_file._Unpickler(io.BytesIO(made + b".")).load()
    assert found in (skipped, type(skipped))
    assert not (tmp_path / "executed").exists()
    assert not hasattr(found, "__dict__") or "system" not in vars(found)


class Object:
    """A whole network pickled, say."""


@pytest.mark.parametrize(
    "value",
    [Object(), {"a": 1}, [1], {(1, 2): 3}, b"bytes", [0] * 200_000],
    ids=["an object", "a number", "a list", "a tuple", "bytes", "many numbers"],
)
def test_what_is_no_state_dict(tmp_path, value):
    path = tmp_path / "a.pth"
    path.write_bytes(
        b"".join(pickle.dumps(x, 2) for x in (PYTORCH_MAGIC_NUMBER, 1001, {}, value))
    )
    with pytest.raises(UserError, match="it holds no state_dict"):
        parse_pytorch(path)


@pytest.mark.parametrize("write", [zipped, legacy])
def test_numbers_of_a_type_that_no_weights_have_are_named(torch_names, tmp_path, write):
    path = write(tmp_path / "a.pth", {"a.weight": np.zeros(3, np.uint16)})
    with pytest.raises(UserError, match=r"float64; .* are torch\.BFloat16Storage\.$"):
        parse_pytorch(path)


def test_float8_is_named(torch_names, tmp_path):
    pid = b"(S'storage'\nctorch.storage\nUntypedStorage\nS'0'\nS'cpu'\nK\x04tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v3\n(" + pid + b"K\0(K\x04t(K\x01tI00\n}"
    tensor += b"ctorch\nfloat8_e4m3fn\ntR"
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02}X\x01\0\0\0a" + tensor + b"s.")
        archive.writestr("net/data/0", bytes(4))
    with pytest.raises(UserError, match=r"float64; a are torch\.float8_e4m3fn\.$"):
        parse_pytorch(path)


def test_compressed_numbers(torch_names, tmp_path):
    path = zipped(tmp_path / "a.pth", compression=zipfile.ZIP_DEFLATED)
    _, found = parse_pytorch(path)
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
STORAGE = b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nK\x04NtQ"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n(%sK\0(K\x04t(K\x01ttR" % STORAGE
STATE = HEAD + pickle.dumps(1001) + pickle.dumps({}) + b"}S'a'\n" + REBUILD + b"s."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (HEAD + b"\x80\x04" + bomb() + b"\x8c\x01x\x93.", "STACK_GLOBAL requires str"),
        (STATE + b"\x80\x02]" + bomb() + b"a." + bytes(8), "more memory or time"),
        (HEAD + b"\x80\x02}" + bomb() + b"Ns.", "more memory or time"),
        (HEAD + b"\x80\x02(" + LONG + b"2" * 800 + b"t.", "Ran out of input"),
        (b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.", "more memory or time"),
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
    with pytest.raises(UserError, match=text) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path} is no valid PyTorch file: ")
    assert "\n" not in str(caught.value)


def test_numbers_shared_by_many_tensors(torch_names, tmp_path, monkeypatch):
    monkeypatch.setattr(pytorch_file, "MAX_FILE_BYTES", 10_000)
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        made = {str(i): Reaching(0, (20, 20), (0, 0)) for i in range(8)}
        archive.writestr("net/data.pkl", pickled(made))
        archive.writestr("net/data/0", bytes(16))
    with pytest.raises(UserError, match="its tensors have more numbers than any"):
        parse_pytorch(path)


def test_parts_that_are_larger_in_all_than_a_file(torch_names, tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.pth")
    monkeypatch.setattr(pytorch_file, "MAX_FILE_BYTES", 100)
    with pytest.raises(UserError, match="it has more numbers than any GoogLeNet"):
        parse_pytorch(path)


def test_what_no_tensor_needs_is_not_read(torch_names, tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.pth")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/data/optimizer", bytes(1000))
    monkeypatch.setattr(pytorch_file, "MAX_FILE_BYTES", 999)
    assert parse_pytorch(path)[1].keys() == TENSORS.keys()


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
