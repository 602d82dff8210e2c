"""TFLite files: float32, float16, dynamic range, full int8 and int16x8."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from googlenet_keras.exporting.source import Source, StaticModel

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

Convert = Callable[[StaticModel], bytes]


def write_tflite(convert: Convert, source: Source, path: Path) -> None:
    """Writes a TFLite file with its labels, preprocessing and metadata."""
    from googlenet_keras.artifacts.contents import Contents
    from googlenet_keras.artifacts.mediapipe_metadata import add_metadata, model_card

    data, classifier = convert(source.static_model()), source.classifier
    if not source.activation_map:  # the metadata describes one output
        data = add_metadata(data, model_card(classifier, source.license))
    path.write_bytes(Contents.of(classifier).add_to_tflite(data))


def to_float32(model: StaticModel) -> bytes:
    """Converts `model` to TFLite in float32."""
    return _converter(model.path, optimize=False).convert()


def to_float16(model: StaticModel) -> bytes:
    """Converts `model` to TFLite with float16 weights."""
    import tensorflow as tf

    converter = _converter(model.path)
    converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def to_dynamic(model: StaticModel) -> bytes:
    """Converts `model` to TFLite with int8 weights (dynamic range quantization)."""
    return _converter(model.path).convert()


def to_int16x8(model: StaticModel) -> bytes:
    """Converts `model` to TFLite with int8 weights and int16 activations."""
    import tensorflow as tf

    converter = _converter(model.path)
    converter.representative_dataset = _calibration(model.images)
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
    import tensorflow as tf

    converter = _converter(model.rounded or model.path)
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    if model.rounded:
        return converter.convert()
    converter.representative_dataset = _calibration(model.images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if not model.response_norms:
        return converter.convert()
    return _partly_int8(converter, model)


def _partly_int8(converter: "tf.lite.TFLiteConverter", model: StaticModel) -> bytes:
    # TensorFlow's selective quantization is part of its debugger
    import tensorflow as tf
    from tensorflow.lite.python import util

    from googlenet_keras.exporting.inspection import tensors_of_layers

    float_tensors = tensors_of_layers(to_float32(model), model.response_norms)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=_calibration(list(islice(model.images, 1))),
        debug_options=tf.lite.experimental.QuantizationDebugOptions(
            denylisted_nodes=float_tensors
        ),
    )
    data = debugger.get_nondebug_quantized_model()
    return util.modify_model_io_type(data, tf.uint8, tf.uint8)


def _converter(saved_model: Path, optimize: bool = True) -> "tf.lite.TFLiteConverter":
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if optimize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter


def _calibration(
    images: Iterable["np.ndarray"],
) -> Callable[[], Iterator[list["np.ndarray"]]]:
    return lambda: ([image[None].astype("float32")] for image in images)
