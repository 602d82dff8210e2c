"""Reads PyTorch's files of weights without PyTorch; nothing in them is executed.

Two layouts: a zip archive (PyTorch 1.6 on), and a series of pickles with the numbers
behind them (before).
"""

import os
import pickle
import re
import struct
import zipfile
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

import numpy as np

from googlenet_keras.errors import UserError
from googlenet_keras.weights.weight_file import MAX_FILE_BYTES

PYTORCH_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # the first pickle of the older layout
MAX_NESTING = 8  # dictionaries around the tensors' one; training scripts need 1 or 2
STORAGE_DTYPES: dict[str, np.dtype] = {
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
    "torch.ByteStorage": np.dtype("u1"),
    "torch.BoolStorage": np.dtype("?"),
}
# torch.FloatStorage and others, torch.float8_e4m3fn and others
TYPE_NAME = re.compile(r"torch\.(storage\.)?\w+Storage|torch\.[a-z]+\d\w*")


class _Storage(NamedTuple):
    """The key of numbers in the file; no pickle can make one."""

    type: str
    key: str


class _StoredTensor(NamedTuple):
    """A tensor as a view of a storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Placeholder:
    """Stands for objects of all other classes: takes anything, does and keeps nothing.

    There is one instance, whatever is pickled: to make it again takes no memory.
    """

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return _SKIPPED

    def __call__(self, *_: Any) -> Self:
        return self

    def _ignore(self, *_: Any) -> None:
        """Takes a state, an item or items."""

    append = extend = add = __setitem__ = __setstate__ = _ignore


_SKIPPED: Any = object.__new__(_Placeholder)


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


def _rebuild_typed_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any
) -> _StoredTensor:
    """A tensor of a type that has no storage of its own, such as float8."""
    tensor = _rebuild_tensor(storage, offset, shape, strides)
    _, _, dtype, *_ = rest
    return tensor._replace(storage=_Storage(str(dtype), tensor.storage.key))


_ALLOWED_CALLABLES: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_typed_tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
}


class _Unpickler(pickle.Unpickler):
    """Resolves only the names that a state_dict needs; all others are skipped unbuilt.

    storages: those that the pickle names, by key.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if TYPE_NAME.fullmatch(full):
            return full
        return _ALLOWED_CALLABLES.get(full, _Placeholder)

    def persistent_load(self, pid: Any) -> _Storage:
        tag, kind, key, *_ = pid  # device, count, in the older layout a view
        if tag != "storage" or not isinstance(kind, str) or not isinstance(key, str):
            raise UserError("it has numbers of an unknown kind.")
        self.storages[key] = _Storage(kind, key)
        return self.storages[key]


def parse_pytorch(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """The tensors of the state_dict in `path` by name, and the keys that lead to it.

    The keys are "" for a plain state_dict, such as "model" for a training script's
    checkpoint. Raises UserError or whatever a damaged file causes; call it in a child
    process.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return _parse_pickles(file)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        pickled = next((name for name in names if name.endswith("/data.pkl")), None)
        if pickled is None:
            raise UserError("there is no data.pkl in the archive.")
        _check_size(archive, [pickled])
        place, tensors = _state_dict(_Unpickler(BytesIO(archive.read(pickled))).load())
        folder = pickled.removesuffix("data.pkl") + "data/"
        keys = {key for (_, key), *_ in tensors.values()}
        _check_size(archive, [folder + key for key in keys])
        data = {key: archive.read(folder + key) for key in keys}
        return place, _arrays(tensors, data)


def _check_size(archive: zipfile.ZipFile, names: Iterable[str]) -> None:
    if sum(archive.getinfo(name).file_size for name in names) > MAX_FILE_BYTES:
        raise UserError("it has more numbers than any GoogLeNet.")


def _parse_pickles(file: IO[bytes]) -> tuple[str, dict[str, np.ndarray]]:
    if _Unpickler(file).load() != PYTORCH_MAGIC_NUMBER:
        raise UserError("it does not begin as PyTorch's files do.")
    _Unpickler(file).load()  # the protocol's version
    _Unpickler(file).load()  # a description of the machine
    unpickler = _Unpickler(file)
    place, tensors = _state_dict(unpickler.load())
    wanted, data = {key for (_, key), *_ in tensors.values()}, {}
    for key in _Unpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        size = count * _dtype(key, unpickler.storages[key].type).itemsize
        if key in wanted:
            data[key] = file.read(min(size, MAX_FILE_BYTES))
        else:
            file.seek(size, os.SEEK_CUR)
    return place, _arrays(tensors, data)


def _state_dict(loaded: Any) -> tuple[str, Mapping[str, _StoredTensor]]:
    """The largest dictionary of tensors, and the keys that lead to it.

    Of several that are about as large, such as those of a network and of its averaged
    weights, the outermost and first is taken, averages ("ema") last.
    """
    found = list(_tensor_dictionaries(loaded))
    if not found:
        raise UserError("it holds no state_dict; save the network's state_dict().")
    most = max(len(tensors) for _, tensors in found)
    large = [each for each in found if 2 * len(each[1]) > most]
    return min(large, key=lambda each: "ema" in each[0])


def _tensor_dictionaries(
    loaded: Any,
) -> Iterator[tuple[str, Mapping[str, _StoredTensor]]]:
    """Yields the keys and the tensors of each dictionary that has any, outermost first.

    Dictionaries within dictionaries are searched, each once: they may hold themselves.
    """
    waiting: deque[tuple[tuple[str, ...], Any]] = deque([((), loaded)])
    seen: set[int] = set()
    while waiting:
        keys, value = waiting.popleft()
        if not isinstance(value, dict) or id(value) in seen or len(keys) > MAX_NESTING:
            continue
        seen.add(id(value))
        named = {key: part for key, part in value.items() if isinstance(key, str)}
        tensors = {k: t for k, t in named.items() if isinstance(t, _StoredTensor)}
        if tensors:
            yield ".".join(keys), tensors
        waiting.extend(((*keys, key), part) for key, part in named.items())


def _dtype(name: str, kind: str) -> np.dtype:
    if kind not in STORAGE_DTYPES:
        rule = "weights must be float16, float32 or float64"
        raise UserError(f"{rule}; {name:.80} are {kind:.80}.")
    return STORAGE_DTYPES[kind]


def _arrays(
    tensors: Mapping[str, _StoredTensor], data: Mapping[str, bytes]
) -> dict[str, np.ndarray]:
    views = {}
    for name, ((kind, key), offset, shape, strides) in tensors.items():
        dtype = _dtype(name, kind)
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
