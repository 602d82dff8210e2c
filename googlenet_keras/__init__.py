"""GoogLeNet (Inception v1, arXiv 1409.4842) in Keras 3, from training to the phone."""

import importlib
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from googlenet_keras.architecture.architecture import Architecture as Architecture
    from googlenet_keras.architecture.arithmetic import macs as macs
    from googlenet_keras.architecture.arithmetic import parameters as parameters
    from googlenet_keras.architecture.description import describe as describe
    from googlenet_keras.architecture.variants import VARIANTS as VARIANTS
    from googlenet_keras.artifacts.artifact import Artifact as Artifact
    from googlenet_keras.artifacts.artifact import open_classifier as open_classifier
    from googlenet_keras.classifier import Classifier as Classifier
    from googlenet_keras.classifier import Prediction as Prediction
    from googlenet_keras.classifier import predict as predict
    from googlenet_keras.data.preprocessing import Preprocessing as Preprocessing
    from googlenet_keras.data.sources import open_dataset as open_dataset
    from googlenet_keras.errors import UserError as UserError
    from googlenet_keras.evaluation.evaluate import evaluate as evaluate
    from googlenet_keras.exporting.config import ExportConfig as ExportConfig
    from googlenet_keras.exports import export as export
    from googlenet_keras.runs import Run as Run
    from googlenet_keras.runs import train as train
    from googlenet_keras.training.options import TrainConfig as TrainConfig
    from googlenet_keras.training.recipes import RECIPES as RECIPES
    from googlenet_keras.training.recipes import recipe as recipe
    from googlenet_keras.weights.pretrained import import_weights as import_weights

    __version__: str

_MODULES = {  # of the public names; each is imported when it is first used
    "Architecture": "architecture.architecture",
    "VARIANTS": "architecture.variants",
    "parameters": "architecture.arithmetic",
    "macs": "architecture.arithmetic",
    "describe": "architecture.description",
    "build": "models",
    "Classifier": "classifier",
    "Artifact": "artifacts.artifact",
    "open_classifier": "artifacts.artifact",
    "open_dataset": "data.sources",
    "Preprocessing": "data.preprocessing",
    "Prediction": "classifier",
    "TrainConfig": "training.options",
    "RECIPES": "training.recipes",
    "recipe": "training.recipes",
    "train": "runs",
    "Run": "runs",
    "evaluate": "evaluation.evaluate",
    "predict": "classifier",
    "ExportConfig": "exporting.config",
    "export": "exports",
    "import_weights": "weights.pretrained",
    "UserError": "errors",
}
__all__ = [*_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """The installed version, or in a checkout the one in pyproject.toml."""
    try:
        return metadata.version("googlenet_keras")
    except metadata.PackageNotFoundError:
        text = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
        (version,) = re.findall(r'^version = "(.*)"$', text, re.MULTILINE)
        return version
