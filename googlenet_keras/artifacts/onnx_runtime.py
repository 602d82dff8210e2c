"""Runs .onnx files in ONNX Runtime, on the CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.artifacts.tensors import (
    IMAGE_INPUT,
    PROBABILITIES_OUTPUT,
    Tensor,
    check_tensors,
)


class OnnxRuntime:
    """Runs a .onnx file in ONNX Runtime on the CPU, channels last or first."""

    step = 0.0

    def __init__(self, path: Path, threads: int) -> None:
        self._session = _onnx_session(path, threads)
        inputs, outputs = (
            {tensor.name: _onnx_tensor(tensor) for tensor in tensors}
            for tensors in (self._session.get_inputs(), self._session.get_outputs())
        )
        self._channels_first = any(t.shape[1:2] == [3] for t in inputs.values())
        if self._channels_first:
            inputs = {
                name: t._replace(shape=[t.shape[0], *t.shape[2:], 3])
                for name, t in inputs.items()
            }
        self.size, self.classes = check_tensors(inputs, outputs)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Computes the probabilities of the whole batch at once."""
        x = images.astype(np.float32)
        if self._channels_first:
            x = x.transpose(0, 3, 1, 2)
        return self._session.run([PROBABILITIES_OUTPUT], {IMAGE_INPUT: x})[0]


def _onnx_session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors are raised, too
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(path, options, providers=providers)


def _onnx_tensor(tensor: Any) -> Tensor:
    name = "float32" if tensor.type == "tensor(float)" else tensor.type
    return Tensor(name, list(tensor.shape or ()))


def read_onnx_texts(path: Path, _: Sequence[str]) -> dict[str, str]:
    """The texts in the file's metadata, by name."""
    return {**_onnx_session(path, threads=1).get_modelmeta().custom_metadata_map}
