"""Runtimes of exported files; only the SavedModel runtime needs TensorFlow.

Every runtime is a function of images, [batch, height, width, 3] float32 or uint8 in
0..255, to probabilities, [batch, classes] float32. Its `step` is the distance between
two probabilities that the file can tell apart; 0: a float's.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from googlenet_keras.errors import UserError
from googlenet_keras.installation import command_line
from googlenet_keras.machine import cores

IMAGE_INPUT, PROBABILITIES_OUTPUT = "image", "probabilities"  # of every file
TFLITE_SUFFIX, ONNX_SUFFIX, SAVED_MODEL_FILE = ".tflite", ".onnx", "saved_model.pb"
RUNTIME_MODULES = {TFLITE_SUFFIX: "ai_edge_litert", ONNX_SUFFIX: "onnxruntime"}
NUMBER_TYPES = ("float32", "uint8", "int8")  # of an input or output
MAX_TEXT_BYTES = 2**24  # of a text inside a file
ASSETS_FOLDER = "assets.extra"  # of a SavedModel; TensorFlow leaves it alone


def is_artifact(path: Path) -> bool:
    """Whether `path` is named like an exported file or is a SavedModel folder."""
    return is_single_file(path) or (path / SAVED_MODEL_FILE).is_file()


def is_single_file(path: Path) -> bool:
    """Whether `path` is named like a .tflite or .onnx file."""
    return path.suffix in (TFLITE_SUFFIX, ONNX_SUFFIX)


def open_runtime(path: Path, threads: int = 0) -> Runtime:
    """Opens the runtime for an exported file.

    threads: 0 for one on each core. Raises UserError for a file that its runtime
    refuses.
    """
    kinds: dict[str, Any] = {TFLITE_SUFFIX: LiteRT, ONNX_SUFFIX: OnnxRuntime}
    try:
        return kinds.get(path.suffix, SavedModel)(path, threads or cores())
    except Exception as error:  # each runtime raises its own kinds
        raise UserError(f"{path} cannot be run: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind if it has none."""
    text = str(error).strip() or f"its runtime gave up with {type(error).__name__}."
    return text.splitlines()[0]


class _Tensor(NamedTuple):
    """An input or output as a file claims it; a free side is None or a text."""

    type: str
    shape: Sequence[Any]


def _check_tensors(
    inputs: Mapping[str, _Tensor], outputs: Mapping[str, _Tensor]
) -> tuple[tuple[int, int], int]:
    """The (height, width) of the image and the number of classes.

    Raises ValueError unless the file takes and gives what an exported file does.
    """
    none = _Tensor("", ())
    image = inputs.get(IMAGE_INPUT, none)
    answer = outputs.get(PROBABILITIES_OUTPUT, none)
    sides = (*image.shape[1:], *answer.shape[1:])
    if not (
        len(inputs) == 1
        and {image.type, answer.type} <= {*NUMBER_TYPES}
        and (len(image.shape), len(answer.shape)) == (4, 2)
        and all(type(side) is int and side > 0 for side in sides)
        and image.shape[3] == 3
    ):
        found = [
            f"{n} {t.type} {list(t.shape)}" for n, t in {**inputs, **outputs}.items()
        ]
        raise ValueError(
            f"an exported file takes {IMAGE_INPUT}, [batch, height, width, 3], and "
            f"gives {PROBABILITIES_OUTPUT}, [batch, classes], in float32 or scaled "
            f"8-bit numbers; this one has {', '.join(found) or 'neither'}."
        )
    return (image.shape[1], image.shape[2]), answer.shape[1]


def read_texts(path: Path, names: Sequence[str]) -> Mapping[str, str]:
    """The texts inside an exported file, by name. Raises UserError."""
    try:
        if path.suffix == ONNX_SUFFIX:
            meta = _onnx_session(path, threads=1).get_modelmeta()
            return {**meta.custom_metadata_map}
        if path.suffix != TFLITE_SUFFIX:
            folder = path / ASSETS_FOLDER
            return {name: (folder / name).read_text("utf-8-sig") for name in names}
        with zipfile.ZipFile(path) as archive:
            if max(archive.getinfo(name).file_size for name in names) > MAX_TEXT_BYTES:
                raise ValueError(f"a text has more than {MAX_TEXT_BYTES} bytes")
            return {name: archive.read(name).decode("utf-8-sig") for name in names}
    except Exception as error:  # a damaged archive raises anything
        raise contents_error(path, error) from error


def contents_error(path: Path, error: Exception) -> UserError:
    """The error for an exported file whose texts cannot be read."""
    return UserError(
        "an exported file has its labels and its preprocessing inside; in "
        f"{path} they cannot be read ({first_line(error)}). Export it with "
        f"{command_line('export')}."
    )


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
        self.size, self.classes = _check_tensors(
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


def _litert_tensor(details: Mapping[str, Any]) -> _Tensor:
    name, scale = np.dtype(details["dtype"]).name, details["quantization"][0]
    if (name == "float32") != (scale == 0) or not 0 <= scale < np.inf:
        name = f"{name} with scale {scale:g}"
    return _Tensor(name, [int(side) for side in details["shape"]])


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
        self.size, self.classes = _check_tensors(inputs, outputs)

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


def _onnx_tensor(tensor: Any) -> _Tensor:
    name = "float32" if tensor.type == "tensor(float)" else tensor.type
    return _Tensor(name, list(tensor.shape or ()))


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
        self.size, self.classes = _check_tensors(
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


def _tf_tensor(spec: Any) -> _Tensor:
    return _Tensor(spec.dtype.name, spec.shape.as_list() if spec.shape.rank else [])


Runtime = LiteRT | OnnxRuntime | SavedModel


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
