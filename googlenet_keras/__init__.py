"""GoogLeNet (Inception v1, arXiv 1409.4842) in Keras 3, from training to the phone."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {  # public name: the module it lives in; imported when first used
    "Architecture": "architecture.architecture",
    "VARIANTS": "architecture.variants",
    "parameters": "architecture.arithmetic",
    "macs": "architecture.arithmetic",
    "build": "network.build",
    "Classifier": "classifier",
    "Artifact": "artifacts.artifact",
    "open_classifier": "artifacts.artifact",
    "open_dataset": "data.sources",
    "TrainConfig": "training.options",
    "train": "runs",
    "evaluate": "evaluation.evaluate",
    "predict": "prediction",
    "ExportConfig": "exporting.config",
    "export": "exports",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
