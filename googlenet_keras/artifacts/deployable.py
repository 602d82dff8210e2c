"""Builds the network for export: one input, one output, no training-only layers."""

from collections.abc import Mapping
from dataclasses import replace

import keras
import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.artifacts.tensors import PROBABILITIES_OUTPUT
from googlenet_keras.classifier import Classifier
from googlenet_keras.network.build import build_network
from googlenet_keras.network.layers import FusedBatchNormalization
from googlenet_keras.network.weights import assign_weights, named_weights


def deployable_network(classifier: Classifier, portable: bool = True) -> keras.Model:
    """Builds the network for export, which maps `image` to {"probabilities"}.

    float32 whatever it was trained in; the auxiliary heads and dropout are gone, batch
    normalization and the pixels' scale are folded into the convolutions. portable:
    local response normalization from operations that phones' accelerators have.
    Keras's dtype policy must be float32, as it is outside training.
    """
    arch, size = classifier.architecture, classifier.preprocessing.size
    classes, none_output = len(classifier.labels), classifier.none_output
    network = untrained_network(arch, classes, size, portable, none_output)
    heads = tuple(head.name for head in arch.heads)
    weights = named_weights(classifier.network).items()
    main = {name: value for name, value in weights if not name.startswith(heads)}
    assign_weights(network, _fold_batch_norm(arch, main))
    return network


def untrained_network(
    arch: Architecture,
    classes: int,
    image_size: int | tuple[int, int],
    portable: bool = True,
    none_output: bool = False,
) -> keras.Model:
    """A deployable network with initial weights: as large and fast as a trained one.

    none_output: it has an output more than classes, of which it gives no probability.
    """
    network = build_network(
        replace(arch, batch_norm=False, pixel_scale=1.0),
        classes=classes + none_output,
        image_size=image_size,
        auxiliary=False,
        portable=portable,
    )
    (image,) = network.inputs
    softmax = keras.layers.Softmax(name=PROBABILITIES_OUTPUT, dtype="float32")
    probabilities = softmax(network.output["main"])
    if none_output:
        probabilities = probabilities[:, :classes]
    return keras.Model(image, {PROBABILITIES_OUTPUT: probabilities})


def _fold_batch_norm(
    arch: Architecture, weights: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Folds batch normalization and pixel_scale into the kernels of `weights`."""
    epsilon = FusedBatchNormalization().epsilon
    folded = {n: v for n, v in weights.items() if not n.split("/")[0].endswith("_bn")}
    layers = [n.removesuffix("_bn/beta") for n in weights if n.endswith("_bn/beta")]
    for layer in layers:
        gamma, beta, mean, variance = (
            weights.get(f"{layer}_bn/{part}", 1.0)
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / np.sqrt(variance + epsilon)
        folded[f"{layer}/kernel"] = folded[f"{layer}/kernel"] * scale
        folded[f"{layer}/bias"] = beta - mean * scale
    first = f"{arch.rows[0].name}/kernel"
    folded[first] = folded[first] / np.float32(arch.pixel_scale)
    return folded
