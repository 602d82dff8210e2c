"""A small int8 network, to see whether an emulator computes as a processor does."""

from pathlib import Path

import numpy as np

from benchmarks.compiled_model import IMAGE, PROBABILITIES, SIGNATURE, Job
from benchmarks.jobs import new_job

SIDE, IMAGES = 32, 4
SHAPES = ((3, 3, 3, 32), (1, 1, 32, 64), (3, 3, 64, 64))  # of the filters


def write_probe(folder: Path) -> Job:
    """Writes the network and its images into `folder`; they are always the same.

    It gives the bytes of its last layer, without a softmax that would hide mistakes.
    """
    import tensorflow as tf

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (IMAGES, SIDE, SIDE, 3)).astype(np.float32)
    spreads = [np.sqrt(2 / np.prod(shape[:3])) for shape in SHAPES]
    filters = [
        tf.constant(random.normal(0, spread, shape), tf.float32)
        for spread, shape in zip(spreads, SHAPES, strict=True)
    ]

    @tf.function(input_signature=[tf.TensorSpec([1, SIDE, SIDE, 3], name=IMAGE)])
    def network(image: tf.Tensor) -> dict[str, tf.Tensor]:
        for filter in filters:
            image = tf.nn.relu(tf.nn.conv2d(image, filter, 1, "VALID"))
        return {PROBABILITIES: tf.reduce_mean(image, [1, 2])}

    module = tf.Module()
    signatures = {SIGNATURE: network.get_concrete_function()}
    tf.saved_model.save(module, str(folder / "probe"), signatures=signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "probe"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    (folder / "probe.tflite").write_bytes(converter.convert())
    np.save(folder / "probe.npy", images)
    return new_job(folder / "probe.tflite", folder / "probe.npy")
