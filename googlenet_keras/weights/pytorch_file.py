"""Reads PyTorch's files of weights without PyTorch; nothing in them is executed.

Two layouts: a zip archive (PyTorch 1.6 on), and a series of pickles with the numbers
behind them (before).
"""

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from googlenet_keras.errors import UserError
from googlenet_keras.weights.weight_file import MAX_FILE_BYTES

PYTORCH_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # the first pickle of the older layout
STATE_DICT_KEYS = ("model", "state_dict")  # where training scripts put it
STORAGE_DTYPES: dict[str, np.dtype] = {
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
}


class _Storage(NamedTuple):
    """The key of numbers in the file; no pickle can make one, or choose its dtype."""

    dtype: np.dtype
    key: str


class _StoredTensor(NamedTuple):
    """A tensor as a view of a storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *_: Any
) -> _StoredTensor:
    pairs = isinstance(shape, tuple) and isinstance(strides, tuple)
    if not (
        isinstance(storage, _Storage)
        and pairs
        and all(type(number) is int for number in (offset, *shape, *strides))
    ):
        raise UserError("it has a tensor that PyTorch would not write.")
    return _StoredTensor(storage, offset, shape, strides)


_ALLOWED_CALLABLES: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
}


class _Unpickler(pickle.Unpickler):
    """Resolves only the names that a state_dict needs, and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in STORAGE_DTYPES:
            return full
        if full in _ALLOWED_CALLABLES:
            return _ALLOWED_CALLABLES[full]
        raise UserError(f"it asks for {full!r:.80}, which no weights need.")

    def persistent_load(self, pid: Any) -> _Storage:
        tag, kind, key, *_ = pid  # device, count, in the older layout a view
        if tag != "storage" or kind not in STORAGE_DTYPES or not isinstance(key, str):
            raise UserError("it has numbers of an unknown kind.")
        return _Storage(STORAGE_DTYPES[kind], key)


def _unpickle(file: BytesIO) -> Any:
    return _Unpickler(file).load()


def parse_pytorch(path: Path) -> dict[str, np.ndarray]:
    """The tensors of the state_dict in `path`, by name.

    A training script's checkpoint may have it under "model" or "state_dict". Raises
    UserError or whatever a damaged file causes; call it in a child process.
    """
    if not zipfile.is_zipfile(path):
        return _parse_pickles(BytesIO(path.read_bytes()))
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > MAX_FILE_BYTES:
            raise UserError("it has more numbers than any GoogLeNet.")
        names = archive.namelist()
        pickled = next((name for name in names if name.endswith("/data.pkl")), None)
        if pickled is None:
            raise UserError("there is no data.pkl in the archive.")
        tensors = _state_dict(_unpickle(BytesIO(archive.read(pickled))))
        folder = pickled.removesuffix("data.pkl") + "data/"
        keys = {key for (_, key), *_ in tensors.values()}
        return _arrays(tensors, {key: archive.read(folder + key) for key in keys})


def _parse_pickles(file: BytesIO) -> dict[str, np.ndarray]:
    if _unpickle(file) != PYTORCH_MAGIC_NUMBER:
        raise UserError("it does not begin as PyTorch's files do.")
    _unpickle(file)  # the protocol's version
    _unpickle(file)  # a description of the machine
    tensors = _state_dict(_unpickle(file))
    dtypes = {key: dtype for (dtype, key), *_ in tensors.values()}
    data = {}
    for key in _unpickle(file):
        (count,) = struct.unpack("<q", file.read(8))
        data[key] = file.read(count * dtypes[key].itemsize)
    return _arrays(tensors, data)


def _state_dict(loaded: Any) -> Mapping[str, _StoredTensor]:
    for key in STATE_DICT_KEYS:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if isinstance(loaded, dict) and all(
        isinstance(name, str) and isinstance(tensor, _StoredTensor)
        for name, tensor in loaded.items()
    ):
        return loaded
    raise UserError("it holds no state_dict; save the network's state_dict().")


def _arrays(
    tensors: Mapping[str, _StoredTensor], data: Mapping[str, bytes]
) -> dict[str, np.ndarray]:
    views = {}
    for name, ((dtype, key), offset, shape, strides) in tensors.items():
        reach = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        last, count = offset + reach, len(data[key]) // dtype.itemsize
        if min(offset, *strides, *(n - 1 for n in shape), 0) < 0 or last >= count:
            raise UserError(
                "a tensor's shape and strides are not those of its numbers."
            )
        steps = [stride * dtype.itemsize for stride in strides]
        views[name] = np.ndarray(
            shape, dtype, data[key], offset * dtype.itemsize, steps
        )
    if sum(view.nbytes for view in views.values()) > MAX_FILE_BYTES:  # strides of 0
        raise UserError("its tensors have more numbers than any GoogLeNet.")
    return {name: np.ascontiguousarray(view) for name, view in views.items()}
