"""TFLite files: float32, float16, dynamic range, full int8 and int16x8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from googlenet_keras.exporting.inspection import outputs_of


def to_tflite(
    saved_model: Path, name: str, images: np.ndarray, norms: list[str]
) -> bytes:
    """The file of the format `name`, from a SavedModel of static batch 1.

    images: [n, height, width, 3] uint8, for calibration. norms: names of the local
    response normalisations, which stay float in the int8 file: their squares span too
    many orders of magnitude, and TFLite's int8 square roots are slow.
    """
    converter = _converter(saved_model)
    if name != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if name == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if name == "int16x8":
        converter.representative_dataset = _calibration(images)
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
    if name == "int8":
        kept = outputs_of(converter.convert(), norms) if norms else []
        return _int8(saved_model, images, kept)
    return converter.convert()


def rounded_to_int8(saved_model: Path) -> bytes:
    """The int8 file of a network that rounds already, which has every range in it."""
    converter = _converter(saved_model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter.convert()


def _converter(saved_model: Path) -> tf.lite.TFLiteConverter:
    return tf.lite.TFLiteConverter.from_saved_model(str(saved_model))


def _calibration(images: np.ndarray) -> Callable[[], Iterator[list[np.ndarray]]]:
    return lambda: ([image[None].astype(np.float32)] for image in images)


def _int8(saved_model: Path, images: np.ndarray, kept: list[str]) -> bytes:
    """Raw pixels in, probabilities out, both uint8; the tensors `kept` stay float."""
    converter = _converter(saved_model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = _calibration(images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    if not kept:
        return converter.convert()
    return _partly_int8(converter, images, kept)


def _partly_int8(
    converter: tf.lite.TFLiteConverter, images: np.ndarray, kept: list[str]
) -> bytes:
    # TensorFlow's selective quantisation is part of its debugger
    from tensorflow.lite.python import util

    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=kept)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=_calibration(images[:1]),
        debug_options=options,
    )
    model = debugger.get_nondebug_quantized_model()
    return util.modify_model_io_type(model, tf.uint8, tf.uint8)
