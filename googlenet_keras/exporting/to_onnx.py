"""The ONNX file."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from googlenet_keras.artifacts.artifact import texts
from googlenet_keras.artifacts.runtimes import IMAGE
from googlenet_keras.classifier import Classifier

OPSET = 17  # 18 turns the global average pool into two operators; tf2onnx ends there


def to_onnx(
    network: keras.Model, classifier: Classifier, path: Path, channels_first: bool
) -> None:
    """Writes `image` [batch, height, width, 3] to `probabilities` [batch, classes].

    channels_first: `image` is [batch, 3, height, width]. Labels and preprocessing are
    in metadata_props, under the names that they have in the other files.
    """
    import onnx
    import tf2onnx

    shape = (None, *network.inputs[0].shape[1:])
    signature = [tf.TensorSpec(shape, tf.float32, name=IMAGE)]
    call = tf.function(lambda image: network(image, training=False), signature)
    model, _ = tf2onnx.convert.from_function(
        call,
        input_signature=signature,
        opset=OPSET,
        inputs_as_nchw=[IMAGE] if channels_first else None,
    )
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(model, texts(classifier))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
