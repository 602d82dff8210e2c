"""Everything in a network that training changes, each variable by a name of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.errors import UserError


def of(network: keras.Model, averages: Sequence[tf.Variable]) -> dict[str, Any]:
    """Weights, random states, the optimiser's, `averages`, and the metrics' sums."""
    groups = {
        "network": network.variables,
        "optimizer": network.optimizer.variables,
        "average": averages,
        "metrics": network.metrics_variables,
    }
    return {name: v for group, found in groups.items()
            for name, v in _named(group, found).items()}  # fmt: skip


def of_metrics(network: keras.Model) -> dict[str, Any]:
    """The metrics' sums alone."""
    return _named("metrics", network.metrics_variables)


def assign(variables: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Sets each of `variables`. Raises UserError where `tensors` are not for them."""
    for name, variable in variables.items():
        if name not in tensors or tensors[name].shape != tuple(variable.shape):
            raise UserError(
                "a checkpoint belongs to the program and the packages that wrote it; "
                f"{name} is missing or has another shape. Go on with those, or begin "
                "another run."
            )
        variable.assign(tensors[name])


def _named(group: str, variables: Sequence[Any]) -> dict[str, Any]:
    return {f"{group}/{number}/{v.name}": v for number, v in enumerate(variables)}
