"""Reads and assigns the weights of a network by name, strictly."""

from collections.abc import Mapping

import keras
import numpy as np

from googlenet_keras.errors import UserError


def named_weights(network: keras.Model) -> dict[str, np.ndarray]:
    """Every weight by layer and variable name, such as "inception_3a_1x1/kernel".

    The names are the same if the layer is inside a JointConvolutions.
    """
    return {weight_name(v): np.asarray(v) for v in network.weights}


def assign_weights(network: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Assigns every weight of `network` by its name.

    Raises UserError that lists what is missing, left over or misshapen, before anything
    is assigned.
    """
    variables = {weight_name(v): v for v in network.weights}
    misshapen = [
        f"{name} is {weights[name].shape}, not {tuple(variables[name].shape)}"
        for name in variables.keys() & weights.keys()
        if weights[name].shape != tuple(variables[name].shape)
    ]
    refuse_mismatch(
        {
            "missing": sorted(variables.keys() - weights.keys()),
            "left over": sorted(weights.keys() - variables.keys()),
            "misshapen": sorted(misshapen),
        }
    )
    for name, variable in variables.items():
        variable.assign(weights[name])


def refuse_mismatch(problems: Mapping[str, list[str]]) -> None:
    """Raises UserError with the names of each kind of problem, if there are any."""
    if any(problems.values()):
        raise UserError("these weights are another network's: " + _list(problems))


def weight_name(variable: keras.Variable) -> str:
    """The variable's name in `named_weights`."""
    return "/".join(variable.path.split("/")[-2:])


def _list(problems: Mapping[str, list[str]], most: int = 3) -> str:
    parts = []
    for kind, names in problems.items():
        if names:
            more = f" and {len(names) - most} more" if len(names) > most else ""
            parts.append(f"{kind}: {', '.join(names[:most])}{more}")
    return "; ".join(parts) + "."
