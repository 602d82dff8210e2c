"""PyTorch's files read without PyTorch, and without unpickling: nothing is executed.

A state_dict is a pickle whose few operations are carried out here, on plain values; any
other operation, and any class or function but a tensor's, is refused. Two layouts: a
zip archive (PyTorch 1.6 on) and a row of pickles with the numbers behind (before).
"""

from __future__ import annotations

import math
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np

from googlenet_keras.errors import UserError
from googlenet_keras.weights.catalogue import LARGEST

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older layout
OPERATIONS = 100_000  # of one pickle; GoogLeNet's has a tenth of it
AXES = 4  # of a tensor, at most
WRAPPED = ("model", "state_dict")  # where training scripts put the state_dict
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
DAMAGE = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError),
    *(OSError, RuntimeError, OverflowError, MemoryError),
    *(struct.error, zipfile.BadZipFile),
)


@dataclass(frozen=True)
class _Global:
    """The name of a class or a function, which is never looked up."""

    name: str


@dataclass(frozen=True)
class _Storage:
    """The numbers of one or several tensors, of which a pickle has the key alone."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pytorch(path: Path) -> dict[str, np.ndarray]:
    """The tensors of the state_dict in `path`, by name. Raises UserError.

    A training script's checkpoint may have it under "model" or "state_dict".
    """
    try:
        if zipfile.is_zipfile(path):
            return _from_zip(path)
        with path.open("rb") as file:
            return _from_pickles(file, path.stat().st_size)
    except UserError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except DAMAGE as error:
        raise UserError(f"{path} is no whole PyTorch file: {error}.") from error


def _from_zip(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        sizes = {
            info.filename: info.file_size
            for info in archive.infolist()
            if info.compress_type == zipfile.ZIP_STORED  # as PyTorch has them
            and info.file_size <= path.stat().st_size
        }
        pickle = next((n for n in sizes if n.endswith("/data.pkl")), None)
        if pickle is None:
            raise UserError("there is no data.pkl in the archive.")
        folder = pickle.removesuffix("data.pkl") + "data/"
        tensors = _state_dict(_loaded(BytesIO(archive.read(pickle))))
        keys = {tensor.storage.key for tensor in tensors.values()}
        if missing := [key for key in keys if folder + key not in sizes]:
            raise UserError(f"the numbers of {missing[0]} are missing or compressed.")
        data = {key: archive.read(folder + key) for key in keys}
    return _arrays(tensors, data)


def _from_pickles(file: IO[bytes], size: int) -> dict[str, np.ndarray]:
    if _loaded(file) != MAGIC:
        raise UserError("it does not begin as PyTorch's files do.")
    _loaded(file)  # the protocol's version
    _loaded(file)  # what machine it was
    tensors = _state_dict(_loaded(file))
    keys = [_of_kind(key, str) for key in _of_kind(_loaded(file), list)]
    kinds = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    data = {}
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        if key not in kinds or count != kinds[key].count:
            raise UserError(f"the numbers of {key!r:.50} are not those of a tensor.")
        length = count * np.dtype(STORAGES[kinds[key].kind]).itemsize
        if not 0 <= length <= size:
            raise UserError(f"the numbers of {key!r:.50} are more than the file has.")
        data[key] = file.read(length)
    return _arrays(tensors, data)


def _state_dict(loaded: Any) -> dict[str, _Tensor]:
    for name in WRAPPED:
        if isinstance(loaded, dict) and isinstance(loaded.get(name), dict):
            loaded = loaded[name]
    named = isinstance(loaded, dict) and all(isinstance(name, str) for name in loaded)
    if not (named and all(isinstance(t, _Tensor) for t in loaded.values())):
        raise UserError("it holds no state_dict; save the network's state_dict().")
    return loaded


def _arrays(
    tensors: Mapping[str, _Tensor], data: Mapping[str, bytes]
) -> dict[str, np.ndarray]:
    """The tensors' numbers; those that share some have no more in all than a file."""
    made, left = {}, LARGEST
    for name, tensor in tensors.items():
        made[name] = _array(tensor, data)
        left -= made[name].nbytes
        if left < 0:
            raise UserError("its tensors have more numbers than any GoogLeNet.")
    return made


def _array(tensor: _Tensor, data: Mapping[str, bytes]) -> np.ndarray:
    """The tensor's numbers; it never has more than its storage."""
    storage = tensor.storage
    numbers = np.frombuffer(data[storage.key], STORAGES[storage.kind])
    if len(numbers) != storage.count or not _lies_in(tensor, len(numbers)):
        raise UserError("a tensor's shape and strides are not those of its numbers.")
    steps = [stride * numbers.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, steps, writeable=False
    )
    return np.ascontiguousarray(view)


def _lies_in(tensor: _Tensor, count: int) -> bool:
    """Whether the tensor has no more than `count` numbers, and none beyond them."""
    given = (*tensor.shape, *tensor.strides, tensor.offset)
    if len(tensor.shape) != len(tensor.strides) or len(given) > 2 * AXES + 1:
        return False
    if not all(0 <= number <= count for number in given):
        return False
    last = tensor.offset + sum(
        (side - 1) * stride
        for side, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    return 0 < math.prod(tensor.shape) <= count and last < count


def _loaded(file: IO[bytes]) -> Any:
    """What the pickle at the file's position stands for, in plain values."""
    machine = _Machine()
    for number, (operation, argument, _) in enumerate(pickletools.genops(file)):
        if number > OPERATIONS:
            raise UserError("its pickle is longer than any network's.")
        machine.carry_out(operation.name, argument)
    return machine.stack.pop()


class _Machine:
    """The stack and the memo of a pickle; each operation is one it is known to need."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def carry_out(self, name: str, argument: Any) -> None:
        """One operation. Raises UserError for one that no state_dict has."""
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _ARGUMENTS:
            self.stack.append(argument)
        elif name in _PUTS:
            self._memo[argument] = self.stack[-1]
        elif name in _GETS:
            self.stack.append(self._memo[argument])
        elif name in _IGNORED:
            pass
        elif name in _METHODS:
            _METHODS[name](self, argument)
        else:
            raise UserError(f"no weights need the operation {name}.")

    def _pushed(self, value: Any) -> None:
        self.stack.append(value)

    def _above_mark(self) -> list[Any]:
        start = self._marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def _mark(self, _: Any) -> None:
        self._marks.append(len(self.stack))

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def _global(self, name: str) -> None:
        self._pushed(_Global(name.replace(" ", ".")))

    def _stack_global(self, _: Any) -> None:
        name, module = (_of_kind(self.stack.pop(), str) for _ in range(2))
        self._pushed(_Global(f"{module}.{name}"))

    def _tuple(self, _: Any) -> None:
        self._pushed(tuple(self._above_mark()))

    def _tuple_of(self, count: int) -> None:
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        self._pushed(values)

    def _append(self, _: Any) -> None:
        value = self.stack.pop()
        _of_kind(self.stack[-1], list).append(value)

    def _appends(self, _: Any) -> None:
        values = self._above_mark()
        _of_kind(self.stack[-1], list).extend(values)

    def _set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set(key, value)

    def _set_items(self, _: Any) -> None:
        values = self._above_mark()
        for key, value in zip(values[::2], values[1::2], strict=True):
            self._set(key, value)

    def _set(self, key: Any, value: Any) -> None:
        if not isinstance(key, str | int):  # others may take for ever to hash
            raise UserError("a name must be a text.")
        _of_kind(self.stack[-1], dict)[key] = value

    def _persistent(self, _: Any) -> None:
        kind, storage, key, _device, count, *_view = self.stack.pop()
        name = _of_kind(storage, _Global).name
        if kind != "storage" or name.removeprefix("torch.") not in STORAGES:
            raise UserError(f"no weights need numbers of kind {name!r:.80}.")
        made = _Storage(
            name.removeprefix("torch."), _of_kind(key, str), _of_kind(count, int)
        )
        self._pushed(made)

    def _reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), _of_kind(self.stack.pop(), _Global)
        if function.name == "collections.OrderedDict" and arguments == ():
            self._pushed({})
        elif function.name == "torch._utils._rebuild_tensor_v2":
            storage, offset, shape, strides, *_ = arguments
            self._pushed(
                _Tensor(
                    _of_kind(storage, _Storage),
                    _of_kind(offset, int),
                    _whole(shape),
                    _whole(strides),
                )
            )
        elif function.name == "torch._utils._rebuild_parameter":
            self._pushed(_of_kind(arguments[0], _Tensor))
        else:
            raise UserError(f"it wants to call {function.name!r:.80}; no weights do.")

    def _build(self, _: Any) -> None:
        self.stack.pop()  # a state_dict's versions, which its tensors do not need


def _of_kind(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise UserError(
            f"where a {kind.__name__.strip('_')} belongs is something else."
        )
    return value


def _whole(values: Any) -> tuple[int, ...]:
    return tuple(_of_kind(value, int) for value in _of_kind(values, tuple))


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_ARGUMENTS = {
    *("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
}
_PUTS, _GETS = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}
_IGNORED = {"PROTO", "FRAME", "STOP"}
_METHODS = {
    "MARK": _Machine._mark,
    "MEMOIZE": _Machine._memoize,
    "GLOBAL": _Machine._global,
    "STACK_GLOBAL": _Machine._stack_global,
    "EMPTY_DICT": lambda machine, _: machine._pushed({}),
    "EMPTY_LIST": lambda machine, _: machine._pushed([]),
    "TUPLE": _Machine._tuple,
    "TUPLE1": lambda machine, _: machine._tuple_of(1),
    "TUPLE2": lambda machine, _: machine._tuple_of(2),
    "TUPLE3": lambda machine, _: machine._tuple_of(3),
    "APPEND": _Machine._append,
    "APPENDS": _Machine._appends,
    "SETITEM": _Machine._set_item,
    "SETITEMS": _Machine._set_items,
    "BINPERSID": _Machine._persistent,
    "REDUCE": _Machine._reduce,
    "BUILD": _Machine._build,
}
