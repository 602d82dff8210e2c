"""PyTorch's files read without PyTorch, and without unpickling: nothing is executed.

Two layouts: a zip archive (PyTorch 1.6 on), and a row of pickles with the numbers
behind (before).
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np

from googlenet_keras.errors import UserError
from googlenet_keras.weights.catalogue import LARGEST
from googlenet_keras.weights.pytorch_pickle import (
    STORAGES,
    StoredTensor,
    loaded_pickle,
    of_kind,
)

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older layout
AXES = 4  # of a tensor, at most
WRAPPED = ("model", "state_dict")  # where training scripts put the state_dict
DAMAGE = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError),
    *(OSError, RuntimeError, OverflowError, MemoryError),
    *(struct.error, zipfile.BadZipFile),
)


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
        tensors = _state_dict(loaded_pickle(BytesIO(archive.read(pickle))))
        keys = {tensor.storage.key for tensor in tensors.values()}
        if missing := [key for key in keys if folder + key not in sizes]:
            raise UserError(f"the numbers of {missing[0]} are missing or compressed.")
        if sum(sizes[folder + key] for key in keys) > LARGEST:  # parts may overlap
            raise UserError("it has more numbers than any GoogLeNet.")
        data = {key: archive.read(folder + key) for key in keys}
    return _arrays(tensors, data)


def _from_pickles(file: IO[bytes], size: int) -> dict[str, np.ndarray]:
    if loaded_pickle(file) != MAGIC:
        raise UserError("it does not begin as PyTorch's files do.")
    loaded_pickle(file)  # the protocol's version
    loaded_pickle(file)  # what machine it was
    tensors = _state_dict(loaded_pickle(file))
    keys = [of_kind(key, str) for key in of_kind(loaded_pickle(file), list)]
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


def _state_dict(loaded: Any) -> dict[str, StoredTensor]:
    for name in WRAPPED:
        if isinstance(loaded, dict) and isinstance(loaded.get(name), dict):
            loaded = loaded[name]
    named = isinstance(loaded, dict) and all(isinstance(name, str) for name in loaded)
    if not (named and all(isinstance(t, StoredTensor) for t in loaded.values())):
        raise UserError("it holds no state_dict; save the network's state_dict().")
    return loaded


def _arrays(
    tensors: Mapping[str, StoredTensor], data: Mapping[str, bytes]
) -> dict[str, np.ndarray]:
    """The tensors' numbers; those that share some have no more in all than a file."""
    made, left = {}, LARGEST
    for name, tensor in tensors.items():
        made[name] = _array(tensor, data)
        left -= made[name].nbytes
        if left < 0:
            raise UserError("its tensors have more numbers than any GoogLeNet.")
    return made


def _array(tensor: StoredTensor, data: Mapping[str, bytes]) -> np.ndarray:
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


def _lies_in(tensor: StoredTensor, count: int) -> bool:
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
