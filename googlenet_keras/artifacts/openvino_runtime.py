"""Runs a folder with a model in OpenVINO's format, in float32 on the CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from googlenet_keras.artifacts.tensors import (
    IMAGE_INPUT,
    PROBABILITIES_OUTPUT,
    Tensor,
    check_tensors,
)

OPENVINO_FILE = (
    "openvino_model.xml"  # beside it openvino_model.bin; Hugging Face's name
)
TEXTS_GROUP = "googlenet_keras"  # of the texts in the model's rt_info


class OpenVino:
    """A folder with openvino_model.xml in OpenVINO, on the CPU.

    In float32: by itself OpenVINO computes in bfloat16 where the processor has it.
    """

    step = 0.0

    def __init__(self, path: Path, threads: int) -> None:
        import openvino

        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        core = openvino.Core()
        compiled = core.compile_model(str(path / OPENVINO_FILE), "CPU", options)
        self.size, self.classes = check_tensors(
            *(
                {tensor.any_name: _tensor(tensor) for tensor in ends}
                for ends in (compiled.inputs, compiled.outputs)
            )
        )
        self._request = compiled.create_infer_request()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Computes the probabilities of the whole batch at once."""
        answers = self._request.infer({IMAGE_INPUT: images.astype(np.float32)})
        return np.array(answers[PROBABILITIES_OUTPUT])


def _tensor(tensor: Any) -> Tensor:
    shape = [
        None if side.is_dynamic else side.get_length() for side in tensor.partial_shape
    ]
    name = "float32" if tensor.element_type.to_string() == "f32" else "another type"
    return Tensor(name, shape)


def read_openvino_texts(path: Path, names: Sequence[str]) -> dict[str, str]:
    """The texts in the model's rt_info, by name, without OpenVINO."""
    root = ElementTree.parse(path / OPENVINO_FILE).getroot()
    group = root.find(f"rt_info/{TEXTS_GROUP}")
    found = {} if group is None else {e.tag: e.get("value", "") for e in group}
    return {name: found[name] for name in names}
