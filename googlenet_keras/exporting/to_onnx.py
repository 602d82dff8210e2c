"""Writes the ONNX file."""

from pathlib import Path

from googlenet_keras.exporting.source import Source

ONNX_OPSET = (
    17  # 18 turns the global average pool into two operators; tf2onnx ends there
)


def write_onnx(source: Source, path: Path) -> None:
    """Writes an ONNX file that maps `image` to `probabilities`.

    source.channels_first: `image` is [batch, 3, height, width].
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    from googlenet_keras.artifacts.contents import Contents
    from googlenet_keras.artifacts.runtimes import IMAGE_INPUT

    network = source.network
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
    Contents.of(source.classifier).add_to_onnx(model)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
