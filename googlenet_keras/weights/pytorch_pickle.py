"""The pickles in PyTorch's files, carried out on plain values: nothing is executed.

A state_dict needs few operations; any other one is refused, and so is any class or
function but a tensor's, whose names are never looked up.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import IO, Any

from googlenet_keras.errors import UserError

OPERATIONS = 100_000  # of one pickle; GoogLeNet's has a tenth of it
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


@dataclass(frozen=True)
class Global:
    """The name of a class or a function, which is never looked up."""

    name: str


@dataclass(frozen=True)
class Storage:
    """The numbers of one or several tensors, of which a pickle has the key alone."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True)
class StoredTensor:
    """A part of a storage's numbers, seen in a shape."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def loaded_pickle(file: IO[bytes]) -> Any:
    """What the pickle at the file's position stands for, in plain values.

    Dictionaries, lists, tuples, texts, numbers and StoredTensor. Raises UserError for
    an operation, a class or a function that no state_dict needs; what a damaged pickle
    raises beside that is Python's.
    """
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
        self._pushed(Global(name.replace(" ", ".")))

    def _stack_global(self, _: Any) -> None:
        name, module = (of_kind(self.stack.pop(), str) for _ in range(2))
        self._pushed(Global(f"{module}.{name}"))

    def _tuple(self, _: Any) -> None:
        self._pushed(tuple(self._above_mark()))

    def _tuple_of(self, count: int) -> None:
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        self._pushed(values)

    def _append(self, _: Any) -> None:
        value = self.stack.pop()
        of_kind(self.stack[-1], list).append(value)

    def _appends(self, _: Any) -> None:
        values = self._above_mark()
        of_kind(self.stack[-1], list).extend(values)

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
        of_kind(self.stack[-1], dict)[key] = value

    def _persistent(self, _: Any) -> None:
        kind, storage, key, _device, count, *_view = self.stack.pop()
        name = of_kind(storage, Global).name
        if kind != "storage" or name.removeprefix("torch.") not in STORAGES:
            raise UserError(f"no weights need numbers of kind {name!r:.80}.")
        made = Storage(
            name.removeprefix("torch."), of_kind(key, str), of_kind(count, int)
        )
        self._pushed(made)

    def _reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), of_kind(self.stack.pop(), Global)
        if function.name == "collections.OrderedDict" and arguments == ():
            self._pushed({})
        elif function.name == "torch._utils._rebuild_tensor_v2":
            storage, offset, shape, strides, *_ = arguments
            self._pushed(
                StoredTensor(
                    of_kind(storage, Storage),
                    of_kind(offset, int),
                    _whole(shape),
                    _whole(strides),
                )
            )
        elif function.name == "torch._utils._rebuild_parameter":
            self._pushed(of_kind(arguments[0], StoredTensor))
        else:
            raise UserError(f"it wants to call {function.name!r:.80}; no weights do.")

    def _build(self, _: Any) -> None:
        self.stack.pop()  # a state_dict's versions, which its tensors do not need


def of_kind(value: Any, kind: type) -> Any:
    """`value` if it is of that kind. Raises UserError."""
    if not isinstance(value, kind):
        raise UserError(f"where a {kind.__name__} belongs is something else.")
    return value


def _whole(values: Any) -> tuple[int, ...]:
    return tuple(of_kind(value, int) for value in of_kind(values, tuple))


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
