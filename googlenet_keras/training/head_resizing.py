"""Adapts the dense layers of the heads to another image size.

An auxiliary head flattens a map of cells with C channels each. The number of cells
depends on the image size, and with it the shape of the dense layer's kernel, [cells *
C, units]. From n to m cells every new cell gets the mean over the old ones:

    weights    K'[cell] = n / m * (K[1] + ... + K[n]) / n
    momentum   V'[cell] = (V[1] + ... + V[n]) / n

On a map whose cells are all x the layer answers as before: m K' x = (K[1] + ... + K[n])
x. The gradient of a cell's weights is x times that of the answer, whatever the number
of cells, so the momentum, a sum of gradients, has no factor.
"""

from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np

from googlenet_keras.training.checkpoints import Variable
from googlenet_keras.training.optimizer import AverageWeights, inner_optimizer

Resize = Callable[[np.ndarray, int, int], np.ndarray]


def resize_heads(
    tensors: Mapping[str, np.ndarray],
    variables: Mapping[str, Variable],
    network: keras.Model,
    average: AverageWeights | None,
) -> dict[str, np.ndarray]:
    """A training state for the image size of `network`.

    tensors: the state, of any image size. variables: those of the network's training by
    the same names. average: the averages of its weights, if there are any.
    """
    resized = dict(tensors)
    names = {id(variable): name for name, variable in variables.items()}
    for kernel, channels in _flattened_kernels(network):
        momentum = inner_optimizer(network).momentum_of(kernel)
        parts: list[tuple[Variable, Resize]]
        parts = [(kernel, resize_weights), (momentum, resize_momentum)]
        if average:
            parts.append((average.average_of(kernel), resize_weights))
        for variable, resize in parts:
            name = names[id(variable)]
            if name in tensors:  # else it is another network's, which is refused later
                resized[name] = resize(tensors[name], kernel.shape[0], channels)
    return resized


def _flattened_kernels(network: keras.Model) -> Iterator[tuple[keras.Variable, int]]:
    """Yields each dense kernel that reads a flattened map, with the map's channels."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.Flatten):
            dense = network.get_layer(layer.name.replace("_flatten", "_fc"))
            yield dense.kernel, layer.input.shape[-1]


def resize_weights(kernel: np.ndarray, rows: int, channels: int) -> np.ndarray:
    """A kernel for `rows` rows, which are those of all cells together."""
    means = resize_momentum(kernel, rows, channels)
    return means * kernel.dtype.type(len(kernel) / rows)


def resize_momentum(momentum: np.ndarray, rows: int, channels: int) -> np.ndarray:
    """The momentum of a kernel for `rows` rows, which are those of all cells."""
    if len(momentum) == rows or len(momentum) % channels:
        return momentum
    cells = momentum.reshape(-1, channels, momentum.shape[-1])
    return np.tile(cells.mean(axis=0), (rows // channels, 1))
