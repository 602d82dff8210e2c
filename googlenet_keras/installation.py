"""How this program is installed: the names of its commands, and optional libraries."""

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from googlenet_keras.errors import UserError

CHECKOUT = Path(__file__).resolve().parents[1]  # if there is one
PROGRAM = "googlenet-keras"  # which pip installs
SCRIPTS = {  # of a checkout, by the command that they are: the file, how it is started
    "train": ("train.py", "python train.py"),
    "export": ("export.py", "python export.py"),
    "search": ("tuning/search.py", "python -m tuning.search"),
}
EXTRAS = {  # of pyproject.toml: how a library is imported, and what pip calls it
    "export": {
        "ai_edge_litert": "ai-edge-litert",
        "onnx": "onnx",
        "onnxruntime": "onnxruntime",
        "tf2onnx": "tf2onnx",
    },
    "search": {
        "ai_edge_litert": "ai-edge-litert",
        "grpc": "grpcio",
        "keras_tuner": "keras-tuner",
    },
    "tfds": {
        "importlib_resources": "importlib_resources",
        "tensorflow_datasets": "tensorflow-datasets",
    },
    "mobile": {"mediapipe": "mediapipe"},
    "coreml": {"coremltools": "coremltools"},
    "openvino": {"openvino": "openvino"},
}
OWN_LISTS = {  # of a checkout, for extras that few need
    "mobile": "requirements-mobile.txt",
    "coreml": "requirements-formats.txt",
    "openvino": "requirements-formats.txt",
}


def command_line(command: str) -> str:
    """How to start a command the way that this process was started."""
    program = Path(sys.argv[0])
    if program.stem == PROGRAM:
        return f"{PROGRAM} {command}"
    scripts = {CHECKOUT / file for file, _ in SCRIPTS.values()}
    if command in SCRIPTS and program.resolve() in scripts:
        return SCRIPTS[command][1]
    return f"python -m googlenet_keras {command}"


def is_installed(module: str) -> bool:
    """Whether the library that is imported as `module` is installed."""
    return find_spec(module) is not None


def require(what: str, extra: str, modules: Iterable[str]) -> None:
    """Raises UserError if one of `modules`, of an extra, is not installed.

    what: the feature that needs them, for the message.
    """
    missing = [EXTRAS[extra][x] for x in modules if not is_installed(x)]
    if missing:
        raise UserError(
            f"{what} needs {', '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed: "
            f"{install_command(extra)}"
        )


def install_command(extra: str) -> str:
    """The line that installs what an extra has."""
    if not (CHECKOUT / "pyproject.toml").is_file():
        return f'pip install "googlenet_keras[{extra}]"'
    return f"pip install -r {OWN_LISTS.get(extra, 'requirements.txt')}"
