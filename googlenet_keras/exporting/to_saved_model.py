"""Writes the SavedModel for TensorFlow and TF Serving."""

from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import tensorflow as tf

from googlenet_keras.artifacts.contents import Contents
from googlenet_keras.artifacts.runtimes import IMAGE_INPUT, PROBABILITIES_OUTPUT
from googlenet_keras.data.checks import IMAGE_SIGNATURES
from googlenet_keras.run_folder import TOP_K


def write_saved_model(network: keras.Model, contents: Contents, path: Path) -> None:
    """Writes a folder with the signatures `serve` and `serve_bytes`.

    serve: `image`, [batch, height, width, 3] float32 in 0..255, to `probabilities`.
    serve_bytes: `image_bytes`, [batch] encoded photos of any size, through the
    classifier's own preprocessing, to `probabilities`, `top_labels`, `top_scores`.
    """
    image_bytes = tf.TensorSpec((None,), tf.string, name="image_bytes")
    serve = tf.function(network.call, [_image(network, batch=None)])
    serve_bytes = tf.function(_serve_bytes(network, contents), [image_bytes])
    signatures = {"serve": serve, "serving_default": serve, "serve_bytes": serve_bytes}
    _save(network, path, signatures)
    contents.add_to_saved_model(path)


def save_static(network: keras.Model, path: Path) -> None:
    """Writes the SavedModel for the TFLite converter: one signature, batch 1."""
    call = tf.function(network.call, [_image(network, batch=1)])
    _save(network, path, {"serving_default": call})


def _image(network: keras.Model, batch: int | None) -> tf.TensorSpec:
    shape = (batch, *network.inputs[0].shape[1:])
    return tf.TensorSpec(shape, tf.float32, name=IMAGE_INPUT)


def _save(
    network: keras.Model,
    path: Path,
    signatures: Mapping[str, tf.types.experimental.PolymorphicFunction],
) -> None:
    # Keras's own ExportArchive writes every weight twice
    module = tf.Module()
    module.weights = [variable.value for variable in network.variables]
    tf.saved_model.save(module, str(path), signatures)


def _serve_bytes(
    network: keras.Model, contents: Contents
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    geometry, labels = contents.preprocessing, tf.constant(contents.labels)
    top = min(TOP_K, len(contents.labels))

    def serve_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([_check_signatures(image_bytes)]):
            image_bytes = tf.identity(image_bytes)
        spec = tf.TensorSpec((geometry.height, geometry.width, 3), tf.float32)
        images = tf.map_fn(geometry.read, image_bytes, fn_output_signature=spec)
        probabilities = network(images)[PROBABILITIES_OUTPUT]
        scores, places = tf.math.top_k(probabilities, top)
        return {
            PROBABILITIES_OUTPUT: probabilities,
            "top_labels": tf.gather(labels, places),
            "top_scores": scores,
        }

    return serve_bytes


def _check_signatures(image_bytes: tf.Tensor) -> tf.Operation:
    """Fails with the number of the first image that is of no known file format."""
    is_known = [
        tf.strings.substr(
            tf.strings.join([image_bytes, "\0" * len(start)]), 0, len(start)
        )
        == start
        for start in IMAGE_SIGNATURES
    ]
    ok = tf.reduce_any(tf.stack(is_known), axis=0)
    first = tf.argmin(tf.cast(ok, tf.int32))
    message = (
        "image_bytes must be whole JPEG, PNG, GIF, BMP or WebP files; not so number"
    )
    return tf.debugging.Assert(tf.reduce_all(ok), [message, first])
