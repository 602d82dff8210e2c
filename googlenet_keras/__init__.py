"""GoogLeNet (Inception v1, arXiv 1409.4842) in Keras 3, from training to the phone."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from googlenet_keras.architecture.ablations import ablate as ablate
    from googlenet_keras.architecture.architecture import Architecture as Architecture
    from googlenet_keras.architecture.arithmetic import macs as macs
    from googlenet_keras.architecture.arithmetic import parameters as parameters
    from googlenet_keras.architecture.description import describe as describe
    from googlenet_keras.architecture.variants import VARIANTS as VARIANTS
    from googlenet_keras.artifacts.artifact import Artifact as Artifact
    from googlenet_keras.artifacts.artifact import open_classifier as open_classifier
    from googlenet_keras.calibration import Calibration as Calibration
    from googlenet_keras.classifier import Classifier as Classifier
    from googlenet_keras.data.none_pictures import open_none_folder as open_none_folder
    from googlenet_keras.data.preprocessing import Preprocessing as Preprocessing
    from googlenet_keras.data.sources import open_dataset as open_dataset
    from googlenet_keras.errors import UserError as UserError
    from googlenet_keras.evaluation.evaluate import evaluate as evaluate
    from googlenet_keras.evaluation.refusal import evaluate_refusal as evaluate_refusal
    from googlenet_keras.exporting.config import ExportConfig as ExportConfig
    from googlenet_keras.exports import export as export
    from googlenet_keras.folds import CrossValidation as CrossValidation
    from googlenet_keras.folds import train_folds as train_folds
    from googlenet_keras.models import build as build
    from googlenet_keras.predictor import Prediction as Prediction
    from googlenet_keras.predictor import predict as predict
    from googlenet_keras.runs import Run as Run
    from googlenet_keras.runs import train as train
    from googlenet_keras.training.options import TrainConfig as TrainConfig
    from googlenet_keras.training.recipes import RECIPES as RECIPES
    from googlenet_keras.training.recipes import recipe as recipe
    from googlenet_keras.weights.pretrained import import_weights as import_weights

__version__ = "0.1.0"
_PUBLIC_NAMES = {  # by module; each is imported when it is first used
    "architecture.architecture": ["Architecture"],
    "architecture.variants": ["VARIANTS"],
    "architecture.ablations": ["ablate"],
    "architecture.arithmetic": ["parameters", "macs"],
    "architecture.description": ["describe"],
    "models": ["build"],
    "calibration": ["Calibration"],
    "classifier": ["Classifier"],
    "predictor": ["Prediction", "predict"],
    "artifacts.artifact": ["Artifact", "open_classifier"],
    "data.sources": ["open_dataset"],
    "data.preprocessing": ["Preprocessing"],
    "training.options": ["TrainConfig"],
    "training.recipes": ["RECIPES", "recipe"],
    "runs": ["train", "Run"],
    "folds": ["train_folds", "CrossValidation"],
    "data.none_pictures": ["open_none_folder"],
    "evaluation.evaluate": ["evaluate"],
    "evaluation.refusal": ["evaluate_refusal"],
    "exporting.config": ["ExportConfig"],
    "exports": ["export"],
    "weights.pretrained": ["import_weights"],
    "errors": ["UserError"],
}
_MODULES = {name: module for module, names in _PUBLIC_NAMES.items() for name in names}
__all__ = [*_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
