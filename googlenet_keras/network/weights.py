"""Reads and assigns the weights of a network by name, strictly."""

from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np

from googlenet_keras.errors import UserError

MAX_LISTED_NAMES = 3  # of each kind of mismatch


def weight_name(variable: keras.Variable) -> str:
    """The layer's and the variable's name, such as "inception_3a_1x1/kernel"."""
    return "/".join(variable.path.split("/")[-2:])


def named_weights(network: keras.Model) -> dict[str, np.ndarray]:
    """Every weight of `network` by its `weight_name`."""
    return {weight_name(v): np.asarray(v) for v in network.weights}


def assign_weights(network: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Assigns every weight of `network` by its name.

    Raises UserError that lists what is missing, left over or misshapen, before anything
    is assigned.
    """
    variables = {weight_name(v): v for v in network.weights}
    check_shapes(weights, variables)
    for name, variable in variables.items():
        variable.assign(weights[name])


def check_shapes(weights: Mapping[str, Any], variables: Mapping[str, Any]) -> None:
    """Raises UserError unless `weights` has the names and shapes of `variables`."""
    found, wanted = (
        {name: tuple(value.shape) for name, value in values.items()}
        for values in (weights, variables)
    )
    misshapen = {
        f"{name} is {found[name]}, not {wanted[name]}"
        for name in found.keys() & wanted.keys()
        if found[name] != wanted[name]
    }
    missing, left_over = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    refuse_mismatch(
        {"missing": missing, "left over": left_over, "misshapen": misshapen}
    )


def refuse_mismatch(mismatches: Mapping[str, Collection[str]]) -> None:
    """Raises UserError with the names of each kind of mismatch, if there are any."""
    parts = []
    for kind, names in mismatches.items():
        if names:
            listed = ", ".join(sorted(names)[:MAX_LISTED_NAMES])
            left_out = len(names) - MAX_LISTED_NAMES
            more = f" and {left_out} more" if left_out > 0 else ""
            parts.append(f"{kind}: {listed}{more}")
    if parts:
        raise UserError(f"these weights are another network's: {'; '.join(parts)}.")
