"""The least version of the runtime that can run an exported file, by what is in it."""

import re
from pathlib import Path

from googlenet_keras.artifacts.coreml_package import read_model
from googlenet_keras.artifacts.openvino_runtime import OPENVINO_FILE
from googlenet_keras.exporting.inspection import min_tflite_version

# onnxruntime.ai/docs/reference/compatibility.html
ONNX_RUNTIMES = {17: "1.12", 18: "1.14"}  # by operator set
# docs.openvino.ai, available operation sets; files of version 11 begin with 2022.1
OPENVINO_OPSETS = {8: "2022.1", 9: "2022.2", 10: "2022.3", 11: "2023.0", 12: "2023.1"}
APPLE_SYSTEMS = {7: "iOS 16, macOS 13", 8: "iOS 17, macOS 14"}  # by specification


def of_tflite(path: Path) -> str | None:
    """The first TensorFlow Lite, as the file states it."""
    version = min_tflite_version(path.read_bytes())
    return version and f"TensorFlow Lite {version}"


def of_onnx(path: Path) -> str | None:
    """The first ONNX Runtime with the file's operator set."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    (opset,) = [x.version for x in model.opset_import if x.domain in ("", "ai.onnx")]
    version = ONNX_RUNTIMES.get(opset)
    return version and f"ONNX Runtime {version}"


def of_openvino(path: Path) -> str | None:
    """The first OpenVINO that has all operators."""
    text = (path / OPENVINO_FILE).read_text("utf-8")
    newest = max(map(int, re.findall(r'version="opset(\d+)"', text)))
    version = OPENVINO_OPSETS.get(max(newest, min(OPENVINO_OPSETS)))
    return version and f"OpenVINO {version}"


def of_core_ml(path: Path) -> str | None:
    """The first systems with the package's specification."""
    return APPLE_SYSTEMS.get(read_model(path).specificationVersion)


def of_saved_model(_: Path) -> str:
    """The TensorFlow that wrote it; whether an older one reads it is not known."""
    import tensorflow as tf

    return f"TensorFlow {tf.__version__}"
