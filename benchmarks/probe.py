"""A small int8 network, to see whether an emulator computes as a processor does."""

from pathlib import Path

import numpy as np

from benchmarks.compiled_model import IMAGE, PROBABILITIES, SIGNATURE, Job
from benchmarks.jobs import new_job

SIDE, IMAGES = 32, 4


def write_probe(folder: Path) -> Job:
    """Writes the network and its images into `folder`; they are always the same.

    It gives the bytes of its last layer, without a softmax that would hide mistakes.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    layers = keras.layers
    network = keras.Sequential([
        keras.Input((SIDE, SIDE, 3)),
        layers.Conv2D(32, 3, strides=2, activation="relu"),
        layers.Conv2D(64, 1, activation="relu"),
        layers.Conv2D(64, 3, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10),
    ])  # fmt: skip
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, SIDE, SIDE, 3))
    images = images.astype(np.float32)
    specification = tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32, IMAGE)
    serve = tf.function(lambda image: {PROBABILITIES: network(image)})
    module = tf.Module()
    module.network = network
    signatures = {SIGNATURE: serve.get_concrete_function(specification)}
    tf.saved_model.save(module, str(folder / "probe"), signatures=signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "probe"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    (folder / "probe.tflite").write_bytes(converter.convert())
    np.save(folder / "probe.npy", images)
    return new_job(folder / "probe.tflite", folder / "probe.npy")
