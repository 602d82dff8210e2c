"""Files as PyTorch writes them, without PyTorch: its names in modules made up."""

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np

from googlenet_keras.weights.pytorch_file import PYTORCH_MAGIC_NUMBER

TENSORS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "a.count": np.array([7], np.int64),
    "b": np.arange(6, dtype=np.float32).reshape(2, 3).T,  # other strides
}
KINDS = {
    "float32": "FloatStorage",
    "int64": "LongStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "uint16": "BFloat16Storage",  # its bits
}


def add_torch_names(monkeypatch):
    """Makes modules whose names a pickle can have, without PyTorch."""
    for name in ("torch", "torch._utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for kind in KINDS.values():
        cls = type(kind, (), {"__module__": "torch"})
        setattr(sys.modules["torch"], kind, cls)

    def rebuild():
        """Never called."""

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    sys.modules["torch._utils"]._rebuild_tensor_v2 = rebuild


class Stored:
    """What PyTorch's pickler calls a storage."""

    def __init__(self, key, array):
        self.key, self.array = key, array


class Tensor:
    def __init__(self, key, array):
        self.key, self.array = key, array

    def __reduce__(self):
        strides = tuple(s // self.array.itemsize for s in self.array.strides)
        arguments = (Stored(self.key, self.array), 0, self.array.shape, strides)
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (*arguments, False, OrderedDict())


def pickled(value, extra=(), stored=None):
    """stored: takes each array that is met, by its key."""
    file = io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, found):
            if not isinstance(found, Stored):
                return None
            if stored is not None:
                stored[found.key] = found.array
            kind = getattr(sys.modules["torch"], KINDS[found.array.dtype.name])
            return ("storage", kind, found.key, "cpu", found.array.size, *extra)

    Pickler(file, 2).dump(value)
    return file.getvalue()


def state_dict(tensors):
    made = OrderedDict(
        (n, Tensor(str(i), t)) for i, (n, t) in enumerate(tensors.items())
    )
    made._metadata = {"": {"version": 1}}
    return made


def numbers(array):
    return array.tobytes(order="A")


def zipped(path, tensors=TENSORS, compression=zipfile.ZIP_STORED, wrap=lambda x: x):
    stored = {}
    with zipfile.ZipFile(path, "w", compression) as archive:
        data = pickled(wrap(state_dict(tensors)), (), stored)
        archive.writestr("net/data.pkl", data)
        for key, array in stored.items():
            archive.writestr(f"net/data/{key}", numbers(array))
    return path


def legacy(path, tensors=TENSORS, wrap=lambda x: x):
    parts = [
        pickle.dumps(x, 2)
        for x in (PYTORCH_MAGIC_NUMBER, 1001, {"little_endian": True})
    ]
    value, stored = wrap(state_dict(tensors)), {}
    parts += [pickled(value, (None,), stored)]
    parts += [pickle.dumps(list(stored), 2)]
    for array in stored.values():
        parts += [struct.pack("<q", array.size), numbers(array)]
    path.write_bytes(b"".join(parts))
    return path
