"""Runtimes of exported files; only the SavedModel runtime needs TensorFlow.

Every runtime is a function of images, [batch, height, width, 3] float32 or uint8 in
0..255, to probabilities, [batch, classes] float32. Its `step` is the distance between
two probabilities that the file can tell apart; 0: a float's.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.errors import UserError
from googlenet_keras.machine import cores

IMAGE_INPUT, PROBABILITIES_OUTPUT = "image", "probabilities"  # of every file
TFLITE_SUFFIX, ONNX_SUFFIX, SAVED_MODEL_FILE = ".tflite", ".onnx", "saved_model.pb"


def is_artifact(path: Path) -> bool:
    """Whether `path` is named like an exported file or is a SavedModel folder."""
    is_file = path.suffix in (TFLITE_SUFFIX, ONNX_SUFFIX)
    return is_file or (path / SAVED_MODEL_FILE).is_file()


def open_runtime(path: Path, threads: int = 0) -> Runtime:
    """Opens the runtime for an exported file.

    threads: 0 for one on each core. Raises UserError for a file that its runtime
    refuses.
    """
    kinds: dict[str, Any] = {TFLITE_SUFFIX: LiteRT, ONNX_SUFFIX: OnnxRuntime}
    try:
        return kinds.get(path.suffix, SavedModel)(path, threads or cores())
    except Exception as error:  # each runtime raises its own kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} cannot be run: {reason}") from error


class LiteRT:
    """A .tflite file of static batch 1 in LiteRT, on the CPU with XNNPACK."""

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.interpreter import Interpreter

        # a damaged buffer must not reach the interpreter, which may crash on it
        data = path.read_bytes()
        if data[4:8] != b"TFL3":
            raise ValueError("it is no TFLite file.")
        if schema.Model.GetRootAsModel(data, 0).SubgraphsLength() < 1:
            raise ValueError("it holds no graph.")
        self._interpreter = Interpreter(model_content=data, num_threads=threads)
        self._interpreter.allocate_tensors()
        signature = self._interpreter.get_signature_runner()
        inputs, outputs = signature.get_input_details(), signature.get_output_details()
        self._tensors: dict[str, dict[str, Any]] = inputs | outputs
        self._input, self._output = inputs[IMAGE_INPUT], outputs[PROBABILITIES_OUTPUT]
        self.classes = int(self._output["shape"][-1])
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


class OnnxRuntime:
    """Runs a .onnx file in ONNX Runtime on the CPU, channels last or first."""

    step = 0.0

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors alone
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self.classes = int(self._session.get_outputs()[0].shape[-1])
        self._channels_first = self._session.get_inputs()[0].shape[1] == 3

    def metadata(self) -> Mapping[str, str]:
        """The file's metadata_props."""
        return self._session.get_modelmeta().custom_metadata_map

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Computes the probabilities of the whole batch at once."""
        x = images.astype(np.float32)
        if self._channels_first:
            x = x.transpose(0, 3, 1, 2)
        return self._session.run([PROBABILITIES_OUTPUT], {IMAGE_INPUT: x})[0]


class SavedModel:
    """Runs a SavedModel folder in TensorFlow, through its signature `serve`.

    threads: can be set before TensorFlow's first operation only; later it is ignored.
    """

    step = 0.0

    def __init__(self, path: Path, threads: int) -> None:
        import tensorflow as tf

        limit_tensorflow_threads(threads)
        self._model = tf.saved_model.load(str(path))
        self._serve = self._model.signatures["serve"]
        self._serve_bytes = self._model.signatures["serve_bytes"]
        outputs = self._serve.structured_outputs
        self.classes = int(outputs[PROBABILITIES_OUTPUT].shape[-1])

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
