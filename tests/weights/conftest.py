import pytest
from making_pytorch import add_torch_names


@pytest.fixture
def torch_names(monkeypatch):
    """Modules whose names a pickle can have, without PyTorch."""
    add_torch_names(monkeypatch)
