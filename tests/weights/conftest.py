import sys
import types

import pytest
from making_pytorch import KINDS


@pytest.fixture
def torch_names(monkeypatch):
    """Modules whose names a pickle can have, without PyTorch."""
    for name in ("torch", "torch._utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for kind in KINDS.values():
        cls = type(kind, (), {"__module__": "torch"})
        setattr(sys.modules["torch"], kind, cls)

    def rebuild():
        """Never called."""

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    sys.modules["torch._utils"]._rebuild_tensor_v2 = rebuild
