"""The worth of channels, judged by the gammas of batch normalization.

MorphNet (arXiv 1711.06798) takes a channel's gamma for its worth. A gamma alone says
little where training has put no price on it: the layers that read the channel can make
up for any factor. So it is taken together with their weights.
"""

from collections.abc import Mapping

import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.channels import channel_sources, convolutions


def gammas(
    weights: Mapping[str, np.ndarray], arch: Architecture
) -> dict[str, np.ndarray]:
    """The absolute gammas of each convolution, [channels]; empty if there are none.

    weights: by their names, as `named_weights` gives them.
    """
    if not (arch.batch_norm and arch.gamma):
        return {}
    return {name: np.abs(weights[f"{name}_bn/gamma"]) for name in convolutions(arch)}


def channel_worths(
    weights: Mapping[str, np.ndarray], arch: Architecture
) -> dict[str, np.ndarray]:
    """The worth of each channel, [channels] by convolution; empty without gammas.

    An output of a layer is a sum over the channels that the layer reads. A channel's
    part of it is (gamma * norm of the weights in between)^2, divided by the sum of all
    channels' parts; its worth is the mean part over all outputs that read the channel.
    """
    scales = gammas(weights, arch)
    if not scales:
        return {}
    parts: dict[str, list[np.ndarray]] = {name: [] for name in scales}
    for reader, sources in channel_sources(arch).items():
        if not sources:
            continue
        scale = np.concatenate([scales[name] for name in sources])
        kernel = weights[f"{reader}/kernel"]
        kernel = kernel.reshape(-1, len(scale), kernel.shape[-1])
        found = _parts(kernel.astype(np.float64), scale)
        ends = np.cumsum([len(scales[name]) for name in sources])[:-1]
        for name, part in zip(sources, np.split(found, ends), strict=True):
            parts[name].append(part)
    return {name: np.concatenate(x, axis=1).mean(axis=1) for name, x in parts.items()}


def _parts(kernel: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The part of each channel in each output, [channels, outputs].

    kernel: [places, channels, outputs]. An output that reads nothing has equal parts.
    """
    squares = np.square(kernel).sum(axis=0) * np.square(scale)[:, None]
    total = squares.sum(axis=0)
    equal = np.full_like(squares, 1 / len(scale))
    return np.divide(squares, total, out=equal, where=total > 0)
