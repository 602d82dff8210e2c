import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from making_pytorch import TENSORS, Tensor, legacy, pickled, zipped

from googlenet_keras.errors import UserError
from googlenet_keras.weights.pytorch_file import MAGIC, read_pytorch


@pytest.mark.parametrize("write", [zipped, legacy])
def test_every_tensor_as_it_was(torch_names, tmp_path, write):
    found = read_pytorch(write(tmp_path / "a.pth"))
    assert found.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


def test_a_checkpoint_with_the_state_dict_inside(torch_names, tmp_path):
    wrap = lambda state: {"model": state, "epoch": 3}  # noqa: E731
    found = read_pytorch(zipped(tmp_path / "a.pth", wrap=wrap))
    assert found.keys() == TENSORS.keys()


class Evil:
    def __reduce__(self):
        return eval, ("open('executed', 'w')",)


@pytest.mark.parametrize("evil", [Evil(), {"a": Evil()}, [Evil()], (1, Evil())])
def test_nothing_is_called(tmp_path, monkeypatch, evil):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pth"
    path.write_bytes(b"".join(pickle.dumps(x, 2) for x in (MAGIC, 1001, {}, evil)))
    with pytest.raises(
        UserError, match=r"it wants to call '(builtins|__builtin__)\.eval'"
    ):
        read_pytorch(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickle.dumps(evil, 4))
    with pytest.raises(
        UserError, match=r"it wants to call '(builtins|__builtin__)\.eval'"
    ):
        read_pytorch(path)
    assert not (tmp_path / "executed").exists()


class Object:
    """A whole network pickled, say."""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Object(), "no weights need the operation"),
        ({"a": 1}, "it holds no state_dict"),
        ([1], "it holds no state_dict"),
        ({(1, 2): 3}, "a name must be a text"),
        (b"bytes", "it wants to call '_codecs.encode'|no weights need"),
        ([0] * 200_000, "longer than any network's"),
    ],
)
def test_what_is_no_state_dict(tmp_path, value, text):
    path = tmp_path / "a.pth"
    path.write_bytes(b"".join(pickle.dumps(x, 2) for x in (MAGIC, 1001, {}, value)))
    with pytest.raises(UserError, match=text):
        read_pytorch(path)


def test_numbers_that_are_compressed(torch_names, tmp_path):
    path = zipped(tmp_path / "a.pth", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"no data\.pkl"):
        read_pytorch(path)


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
    with pytest.raises(UserError, match="is not in its numbers"):
        read_pytorch(path)


def test_a_truncated_file(torch_names, tmp_path):
    for write in (zipped, legacy):
        path = write(tmp_path / "a.pth")
        whole = path.read_bytes()
        for length in (0, 1, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            with pytest.raises(UserError, match=r"cannot be read|no whole"):
                read_pytorch(path)
