"""Converts a saved classifier to the files of all formats: SavedModel, TFLite, ONNX."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.util import modify_model_io_type

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.table1 import ResponseNorm
from googlenet_keras.artifacts.artifact import Contents
from googlenet_keras.artifacts.deployable import deployable_network
from googlenet_keras.artifacts.mediapipe_metadata import ModelCard, add_metadata
from googlenet_keras.artifacts.runtimes import hide_gpus
from googlenet_keras.artifacts.tensors import IMAGE_INPUT, PROBABILITIES_OUTPUT
from googlenet_keras.artifacts.tflite_schema import name_tensors
from googlenet_keras.calibration import Calibration
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.exif import JPEG_SIGNATURE
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.exporting.inspection import operators
from googlenet_keras.exporting.whole_photos import take_whole_photos, to_whole_photos
from googlenet_keras.files import atomic_folder, read_json
from googlenet_keras.network.build import add_activation_map
from googlenet_keras.run_folder import TOP_K

CALIBRATION_FILE = "calibration.npy"
ONNX_OPSET = 17  # 18 turns the average pool into two operators; tf2onnx ends there
# the first bytes of a JPEG, PNG, GIF, BMP or WebP file
IMAGE_SIGNATURES = (JPEG_SIGNATURE, b"\x89PNG", b"GIF8", b"BM", b"RIFF")
Function: TypeAlias = "tf.types.experimental.PolymorphicFunction"


@dataclass(frozen=True)
class Source:
    """The saved classifier that an export converts; picklable."""

    folder: Path  # where the classifier is saved
    work: Path  # for calibration images and for models between it and the files
    channels_first: bool = False  # in ONNX
    license: str | None = None  # as the user states it
    activation_map: bool = False  # the network has this output too
    portable: bool = True  # as for deployable_network
    whole_photos: Preprocessing | None = None  # the geometry of a file that takes them

    @property
    def qat_calibration(self) -> Path:
        """The file with the calibration after quantization-aware training, if any."""
        return self.work / "calibration.json"

    @property
    def model_folders(self) -> tuple[Path, Path]:
        """Of SavedModels for the TFLite converter, plain and with int8's rounding."""
        suffix = "_with_map" if self.activation_map else ""
        suffix += "_of_whole_photos" if self.whole_photos else ""
        return self.work / f"static{suffix}", self.work / f"rounded{suffix}"

    def calibration_images(self) -> np.ndarray | tuple[()]:
        """Inputs of the network, [n, height, width, 3] uint8; empty without any."""
        file = self.work / CALIBRATION_FILE
        if not file.exists():
            return ()
        return np.load(file)


@cache
def load_source(source: Source) -> tuple[Classifier, keras.Model]:
    """Loads the classifier and its deployable network, once per process."""
    hide_gpus()
    classifier = Classifier.load(source.folder)
    network = deployable_network(classifier, source.portable)
    if source.whole_photos:
        network = take_whole_photos(network, source.whole_photos)
        classifier = replace(classifier, preprocessing=source.whole_photos)
    if source.activation_map:
        network = add_activation_map(network, len(classifier.labels))
    return classifier, network


def network_probabilities(source: Source, images: np.ndarray) -> np.ndarray:
    """The network's probabilities for [n, height, width, 3] float32 in 0..255."""
    _, network = load_source(source)
    return network(images, training=False)[PROBABILITIES_OUTPUT].numpy()


def response_norms(arch: Architecture) -> tuple[str, ...]:
    """The names of the local response normalization layers."""
    return tuple(row.name for row in arch.rows if isinstance(row, ResponseNorm))


def write_saved_model(source: Source, path: Path) -> None:
    """Writes a folder with the signatures `serve` and `serve_bytes`.

    serve: `image`, [batch, height, width, 3] float32 in 0..255, to `probabilities`.
    serve_bytes: `image_bytes`, [batch] encoded photos of any size, through the
    classifier's own preprocessing, to `probabilities`, `top_labels`, `top_scores`. They
    are decoded, turned and blended with black as for `predict`, by TensorFlow alone:
    HEIC, AVIF, TIFF and broken files fail the whole batch, and nothing limits a
    photo's size; 12 bits in a 16-bit PNG, which `predict` refuses, are nearly black.
    """
    classifier, network = load_source(source)
    geometry, labels = classifier.preprocessing, tf.constant(classifier.labels)

    def serve_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([_check_signatures(image_bytes)]):
            image_bytes = tf.identity(image_bytes)
        spec = tf.TensorSpec((*geometry.size, 3), tf.float32)
        images = tf.map_fn(geometry.read, image_bytes, fn_output_signature=spec)
        probabilities = network(images)[PROBABILITIES_OUTPUT]
        scores, places = tf.math.top_k(probabilities, min(TOP_K, len(labels)))
        return {
            PROBABILITIES_OUTPUT: probabilities,
            "top_labels": tf.gather(labels, places),
            "top_scores": scores,
        }

    photos = tf.TensorSpec((None,), tf.string, name="image_bytes")
    serve, by_photo = (
        _serve(network, batch=None),
        tf.function(serve_bytes, [photos], autograph=False),
    )
    signatures = {"serve": serve, "serving_default": serve, "serve_bytes": by_photo}
    _save(network, path, signatures)
    Contents.of(classifier).add_to_saved_model(path)


def _check_signatures(image_bytes: tf.Tensor) -> tf.Operation:
    """Fails with the number of the first image that is of no known file format."""
    starts = [  # padded: there is no substring of a shorter text
        tf.strings.substr(tf.strings.join([image_bytes, "\0" * len(s)]), 0, len(s)) == s
        for s in IMAGE_SIGNATURES
    ]
    ok = tf.reduce_any(tf.stack(starts), axis=0)
    rule = "image_bytes must be whole JPEG, PNG, GIF, BMP or WebP files; not so number"
    first = tf.argmin(tf.cast(ok, tf.int32))
    return tf.debugging.Assert(tf.reduce_all(ok), [rule, first])


def save_static(network: keras.Model, path: Path) -> None:
    """Writes the SavedModel for the TFLite converter: one signature, batch 1."""
    _save(network, path, {"serving_default": _serve(network, batch=1)})


def _serve(network: keras.Model, batch: int | None) -> Function:
    shape = (batch, *network.inputs[0].shape[1:])
    image = tf.TensorSpec(shape, tf.float32, name=IMAGE_INPUT)
    return tf.function(network.call, [image])


def _save(network: keras.Model, path: Path, signatures: Mapping[str, Function]) -> None:
    # Keras's own ExportArchive writes every weight twice
    module = tf.Module()
    module.weights = [variable.value for variable in network.variables]
    tf.saved_model.save(module, str(path), signatures)


def write_onnx(source: Source, path: Path) -> None:
    """Writes an ONNX file that maps `image` to `probabilities`.

    source.channels_first: `image` is [batch, 3, height, width].
    """
    import onnx
    import tf2onnx

    classifier, network = load_source(source)
    shape = (None, *network.inputs[0].shape[1:])
    signature = [tf.TensorSpec(shape, tf.float32, name=IMAGE_INPUT)]
    call = tf.function(lambda image: network(image, training=False), signature)
    model, _ = tf2onnx.convert.from_function(
        call,
        input_signature=signature,
        opset=ONNX_OPSET,
        inputs_as_nchw=[IMAGE_INPUT] if source.channels_first else None,
    )
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(model, Contents.of(classifier).to_texts())
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


@dataclass(frozen=True)
class StaticModel:
    """A SavedModel of batch 1, with what is needed to quantize it."""

    path: Path
    images: Iterable[np.ndarray] = ()  # [n, height, width, 3] uint8, for calibration
    response_norms: tuple[str, ...] = ()  # layers that stay float in an int8 file
    rounded: Path | None = None  # the same after quantization-aware training
    whole_photos: Preprocessing | None = None  # as of a Source

    def calibration(self) -> Iterator[list[np.ndarray]]:
        """Yields the model's inputs for each image: [1, height, width, 3] float32."""
        for image in self.images:
            batch = image[None].astype("float32")
            whole = self.whole_photos
            yield [to_whole_photos(batch, whole) if whole else batch]


Convert = Callable[[StaticModel], bytes]


def write_tflite(convert: Convert, source: Source, path: Path) -> None:
    """Writes a TFLite file with its labels, preprocessing and metadata."""
    classifier, network = load_source(source)
    static, rounded = source.model_folders
    if not static.exists():
        with atomic_folder(static) as folder:
            save_static(network, folder)
    model = StaticModel(
        static,
        source.calibration_images(),
        response_norms(classifier.architecture),
        rounded if rounded.exists() else None,
        source.whole_photos,
    )
    if model.rounded and source.qat_calibration.exists():
        calibration = Calibration.from_json(read_json(source.qat_calibration))
        classifier = replace(classifier, calibration=calibration)
    data = name_tensors(convert(model))
    if not source.activation_map:  # the metadata describes one output
        fitted = classifier.calibration
        threshold = fitted.refuse_below if fitted else None
        card = ModelCard.of(classifier, source.license)
        data = add_metadata(data, card, threshold)
    path.write_bytes(Contents.of(classifier).add_to_tflite(data))


def to_float32(model: StaticModel) -> bytes:
    """Converts `model` to TFLite in float32."""
    return _converter(model.path, optimize=False).convert()


def to_float16(model: StaticModel) -> bytes:
    """Converts `model` to TFLite with float16 weights."""
    converter = _converter(model.path)
    converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def to_dynamic(model: StaticModel) -> bytes:
    """Converts `model` to TFLite with int8 weights (dynamic range quantization)."""
    return _converter(model.path).convert()


def to_int16x8(model: StaticModel) -> bytes:
    """Converts `model` to TFLite with int8 weights and int16 activations."""
    converter = _converter(model.path)
    converter.representative_dataset = model.calibration
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]
    return converter.convert()


def to_int8(model: StaticModel) -> bytes:
    """Converts `model` to full int8, with uint8 pixels and probabilities.

    Local response normalizations stay float: their squares span too many orders of
    magnitude, and TFLite's int8 square roots are slow. A rounded model has every range
    in it and needs no calibration images.
    """
    converter = _converter(model.rounded or model.path)
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    if model.rounded:
        return converter.convert()
    converter.representative_dataset = model.calibration
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if not model.response_norms:
        return converter.convert()
    tensors = [name for op in operators(to_float32(model)) for name in op.outputs]
    in_float = [t for t in tensors if any(n in t for n in model.response_norms)]
    # TensorFlow's selective quantization is part of its debugger
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=in_float)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=lambda: islice(model.calibration(), 1),
        debug_options=options,
    )
    data = debugger.get_nondebug_quantized_model()
    return modify_model_io_type(data, tf.uint8, tf.uint8)


def _converter(saved_model: Path, optimize: bool = True) -> tf.lite.TFLiteConverter:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if optimize else []
    return converter
