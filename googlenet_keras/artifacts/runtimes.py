"""Runtimes of exported files; only the SavedModel runtime needs TensorFlow.

Every runtime is a function of images, [batch, height, width, 3] float32 or uint8 in
0..255, to probabilities, [batch, classes] float32. Its `step` is the distance between
two probabilities that the file can tell apart; 0: a float's.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.artifacts.coreml_package import read_metadata
from googlenet_keras.artifacts.coreml_program import CoreMLProgram
from googlenet_keras.artifacts.onnx_runtime import OnnxRuntime, read_onnx_texts
from googlenet_keras.artifacts.openvino_runtime import (
    OPENVINO_FILE,
    OpenVino,
    read_openvino_texts,
)
from googlenet_keras.artifacts.tensors import (
    IMAGE_INPUT,
    PROBABILITIES_OUTPUT,
    Tensor,
    check_tensors,
)
from googlenet_keras.errors import UserError
from googlenet_keras.installation import command_line
from googlenet_keras.machine import cores

TFLITE_SUFFIX, ONNX_SUFFIX, COREML_SUFFIX = ".tflite", ".onnx", ".mlpackage"
SAVED_MODEL_FILE = "saved_model.pb"
MAX_TEXT_BYTES = 2**24  # of a text inside a file
ASSETS_FOLDER = "assets.extra"  # of a SavedModel; TensorFlow leaves it alone


class LiteRT:
    """A .tflite file of static batch 1 in LiteRT, on the CPU with XNNPACK."""

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        data = path.read_bytes()
        try:
            _check_tflite(data)
        except struct.error as error:  # a place beyond the end
            raise ValueError(f"it is damaged ({error}).") from error
        self._interpreter = Interpreter(model_content=data, num_threads=threads)
        self._interpreter.allocate_tensors()
        signature = self._interpreter.get_signature_runner()
        inputs, outputs = signature.get_input_details(), signature.get_output_details()
        self._tensors: dict[str, dict[str, Any]] = inputs | outputs
        self.size, self.classes = check_tensors(
            {name: _litert_tensor(details) for name, details in inputs.items()},
            {name: _litert_tensor(details) for name, details in outputs.items()},
        )
        self._input, self._output = inputs[IMAGE_INPUT], outputs[PROBABILITIES_OUTPUT]
        self.step = self._output["quantization"][0]

    def quantization(self) -> dict[str, tuple[float, int]]:
        """(scale, zero point) of each input and output, by name; scale 0 means float32.

        A number stands for scale * (number - zero).
        """
        return {name: t["quantization"] for name, t in self._tensors.items()}

    def partitions(self) -> int:
        """Number of partitions of the graph that are delegated to XNNPACK."""
        operators = self._interpreter._get_ops_details()  # no public list of them
        return sum(op["op_name"] == "DELEGATE" for op in operators)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Computes the probabilities one image at a time."""
        return np.concatenate([self._run(image[None]) for image in images])

    def _run(self, image: np.ndarray) -> np.ndarray:
        (scale, zero), dtype = self._input["quantization"], self._input["dtype"]
        # a camera's bytes pass as they are
        if scale and not (image.dtype == dtype and (scale, zero) == (1.0, 0)):
            limits = np.iinfo(dtype)
            image = np.clip(np.round(image / scale + zero), limits.min, limits.max)
        image = image.astype(dtype, copy=False)
        self._interpreter.set_tensor(self._input["index"], image)
        self._interpreter.invoke()
        answer = self._interpreter.get_tensor(self._output["index"])
        scale, zero = self._output["quantization"]
        if scale:
            answer = (answer.astype(np.float32) - zero) * np.float32(scale)
        return answer.astype(np.float32)


def _check_tflite(data: bytes) -> None:
    """Raises ValueError for data on which the interpreter might crash."""
    from ai_edge_litert import schema_py_generated as schema

    if data[4:8] != b"TFL3":
        raise ValueError("it is no TFLite file.")
    model = schema.Model.GetRootAsModel(data, 0)
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    if not graphs:
        raise ValueError("it holds no graph.")
    for graph in graphs:
        steps = [graph.Operators(i) for i in range(graph.OperatorsLength())]
        made = {graph.Inputs(i) for i in range(graph.InputsLength())}
        made |= {s.Outputs(i) for s in steps for i in range(s.OutputsLength())}
        used = {s.Inputs(i) for s in steps for i in range(s.InputsLength())}
        for tensor in (graph.Tensors(i) for i in used - made if i >= 0):
            buffer = model.Buffers(tensor.Buffer())
            has_data = buffer.DataLength() or buffer.Size() or tensor.IsVariable()
            if not has_data and 0 not in map(tensor.Shape, range(tensor.ShapeLength())):
                raise ValueError(f"its tensor {tensor.Name()!r:.80} has no data.")


def _litert_tensor(details: Mapping[str, Any]) -> Tensor:
    name, scale = np.dtype(details["dtype"]).name, details["quantization"][0]
    if (name == "float32") != (scale == 0) or not 0 <= scale < np.inf:
        name = f"{name} with scale {scale:g}"
    return Tensor(name, [int(side) for side in details["shape"]])


class SavedModel:
    """Runs a SavedModel folder in TensorFlow, through its signature `serve`.

    threads: can be set before TensorFlow's first operation only; later it is ignored.
    """

    step = 0.0

    def __init__(self, path: Path, threads: int) -> None:
        import tensorflow as tf

        limit_tensorflow_threads(threads)
        self._model = tf.saved_model.load(str(path))
        signatures = self._model.signatures
        if missing := {"serve", "serve_bytes"} - {*signatures}:
            raise ValueError(f"it has no signature {' and '.join(sorted(missing))}.")
        self._serve, self._serve_bytes = signatures["serve"], signatures["serve_bytes"]
        specs = (
            self._serve.structured_input_signature[1],
            self._serve.structured_outputs,
        )
        self.size, self.classes = check_tensors(
            *({name: _tf_tensor(spec) for name, spec in each.items()} for each in specs)
        )

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Computes the probabilities of the whole batch at once."""
        import tensorflow as tf

        image = tf.constant(images, tf.float32)
        return self._serve(image=image)[PROBABILITIES_OUTPUT].numpy()

    def run_encoded(self, encoded: list[bytes]) -> tuple[np.ndarray, list[str]]:
        """Probabilities of encoded photos, and the likeliest label of each."""
        import tensorflow as tf

        answers = self._serve_bytes(image_bytes=tf.constant(encoded, tf.string))
        labels = [label.decode() for label in answers["top_labels"][:, 0].numpy()]
        return answers[PROBABILITIES_OUTPUT].numpy(), labels


def _tf_tensor(spec: Any) -> Tensor:
    return Tensor(spec.dtype.name, spec.shape.as_list() if spec.shape.rank else [])


Runtime = LiteRT | OnnxRuntime | CoreMLProgram | OpenVino | SavedModel


@dataclass(frozen=True)
class Kind:
    """A kind of exported files: how it is told apart, run and read."""

    description: str  # with its article
    is_kind: Callable[[Path], bool]  # by its name, or by what is in its folder
    open: Callable[[Path, int], Runtime]
    texts: Callable[[Path, Sequence[str]], Mapping[str, str]]
    library: tuple[str, str] | None  # what runs it: extra of pyproject.toml, module
    is_data: bool = True  # no program: a process of limited memory can run it
    is_interpreted: bool = False  # its speed here says nothing


def _has_suffix(suffix: str, path: Path) -> bool:
    return path.suffix == suffix


def _contains(file: str, path: Path) -> bool:
    return (path / file).is_file()


def _zip_texts(path: Path, names: Sequence[str]) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        if max(archive.getinfo(name).file_size for name in names) > MAX_TEXT_BYTES:
            raise ValueError(f"a text has more than {MAX_TEXT_BYTES} bytes")
        return {name: archive.read(name).decode("utf-8-sig") for name in names}


def _asset_texts(path: Path, names: Sequence[str]) -> dict[str, str]:
    folder = path / ASSETS_FOLDER
    return {name: (folder / name).read_text("utf-8-sig") for name in names}


KINDS = (
    Kind(
        "a .tflite file",
        partial(_has_suffix, TFLITE_SUFFIX),
        LiteRT,
        _zip_texts,
        ("export", "ai_edge_litert"),
    ),
    Kind(
        "a .onnx file",
        partial(_has_suffix, ONNX_SUFFIX),
        OnnxRuntime,
        read_onnx_texts,
        ("export", "onnxruntime"),
    ),
    Kind(
        "a Core ML package",
        partial(_has_suffix, COREML_SUFFIX),
        CoreMLProgram,
        lambda path, _: read_metadata(path),
        None,
        is_interpreted=True,
    ),
    Kind(
        "an OpenVINO folder",
        partial(_contains, OPENVINO_FILE),
        OpenVino,
        read_openvino_texts,
        ("openvino", "openvino"),
    ),
    Kind(
        "a SavedModel",
        partial(_contains, SAVED_MODEL_FILE),
        SavedModel,
        _asset_texts,
        None,
        is_data=False,
    ),
)


def find_kind(path: Path) -> Kind | None:
    """The kind of the exported file or folder `path`; None if it is named like none."""
    return next((kind for kind in KINDS if kind.is_kind(path)), None)


def is_artifact(path: Path) -> bool:
    """Whether `path` is named like an exported file or is a folder of one."""
    return find_kind(path) is not None


def open_runtime(path: Path, threads: int = 0) -> Runtime:
    """Opens the runtime for an exported file.

    threads: 0 for one on each core. Raises UserError for a file that its runtime
    refuses.
    """
    kind = find_kind(path)
    try:
        return (kind.open if kind else SavedModel)(path, threads or cores())
    except Exception as error:  # each runtime raises its own kinds
        raise UserError(f"{path} cannot be run: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind if it has none."""
    text = str(error).strip() or f"its runtime gave up with {type(error).__name__}."
    return text.splitlines()[0]


def read_texts(path: Path, names: Sequence[str]) -> Mapping[str, str]:
    """The texts inside an exported file, by name. Raises UserError."""
    kind = find_kind(path)
    try:
        return (kind.texts if kind else _asset_texts)(path, names)
    except Exception as error:  # a damaged archive raises anything
        raise contents_error(path, error) from error


def contents_error(path: Path, error: Exception) -> UserError:
    """The error for an exported file whose texts cannot be read."""
    return UserError(
        "an exported file has its labels and its preprocessing inside; in "
        f"{path} they cannot be read ({first_line(error)}). Export it with "
        f"{command_line('export')}."
    )


def hide_gpus() -> None:
    """Hides GPUs from TensorFlow, if it has not started yet.

    What is compared with a phone's file must run on the CPU too: a GPU rounds float32
    products to TF32, and its memory goes to the first process that asks.
    """
    import tensorflow as tf

    with suppress(RuntimeError):  # it has started
        tf.config.set_visible_devices([], "GPU")


def limit_tensorflow_threads(threads: int) -> None:
    """Limits TensorFlow to `threads` threads, if it has not started yet."""
    import tensorflow as tf

    with suppress(RuntimeError):  # it has started
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
