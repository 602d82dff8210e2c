"""Weights by name: every one read once, every one written once."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from googlenet_keras.errors import UserError


def named_weights(network: keras.Model) -> dict[str, np.ndarray]:
    """Every weight of `network` by layer and name, such as "inception_3a_1x1/kernel".

    The names are the same whether or not the layer is inside another.
    """
    return {weight_name(v): np.asarray(v) for v in network.weights}


def assign_weights(network: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Gives every weight of `network` the value of its name.

    Raises UserError that lists what is missing, left over or misshapen; nothing is
    assigned then.
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
    """Raises UserError that lists the names under each kind of problem, if any."""
    if any(problems.values()):
        raise UserError("these weights are another network's: " + _listed(problems))


def weight_name(variable: keras.Variable) -> str:
    """The variable's name as `named_weights` has it."""
    return "/".join(variable.path.split("/")[-2:])


def _listed(problems: Mapping[str, list[str]], most: int = 3) -> str:
    parts = []
    for kind, names in problems.items():
        if names:
            more = f" and {len(names) - most} more" if len(names) > most else ""
            parts.append(f"{kind}: {', '.join(names[:most])}{more}")
    return "; ".join(parts) + "."
