"""Reads and assigns the weights of a network by name, strictly."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError, safe_open

from googlenet_keras.errors import UserError
from googlenet_keras.files import check_readable

MAX_LISTED_NAMES = 3  # of each kind of mismatch
# what safetensors raises for types of numbers that NumPy does not have
UNKNOWN_TYPE_ERRORS = (ValueError, KeyError, TypeError, AttributeError)
WEIGHT_TYPES = (np.float16, np.float32, np.float64)
VARIANCE_SUFFIX = "/moving_variance"


def weight_name(variable: keras.Variable) -> str:
    """The layer's and the variable's name, such as "inception_3a_1x1/kernel"."""
    return "/".join(variable.path.split("/")[-2:])


def named_weights(network: keras.Model) -> dict[str, np.ndarray]:
    """Every weight of `network` by its `weight_name`."""
    return {weight_name(v): np.asarray(v) for v in network.weights}


def assign_weights(network: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Assigns every weight of `network` by its name.

    Raises UserError that lists what is missing, left over or misshapen, or names what
    no weight can be, before anything is assigned.
    """
    variables = {weight_name(v): v for v in network.weights}
    check_shapes(weights, variables)
    check_numbers(weights)
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


def check_numbers(weights: Mapping[str, np.ndarray]) -> None:
    """Raises UserError for weights that are no finite floating-point numbers.

    Nor may a variance of ours be negative, whose root would not be a number.
    """
    for name, value in weights.items():
        if value.dtype.type not in WEIGHT_TYPES:
            raise _type_error(name, value.dtype.name)
        with np.errstate(over="ignore"):
            finite = np.isfinite(value.astype(np.float32, copy=False)).all()
        if not finite or (name.endswith(VARIANCE_SUFFIX) and (value < 0).any()):
            rule = "finite and variances not negative"
            raise UserError(f"weights must be {rule}; {name} are not.")


def _type_error(name: str, kind: str) -> UserError:
    return UserError(f"weights must be float16, float32 or float64; {name} are {kind}.")


def read_safetensors(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The tensors of a .safetensors file, by name.

    Raises UserError for a damaged file, for one of more than `max_bytes`, and for types
    of numbers that NumPy does not have.
    """
    check_readable(path, max_bytes)
    tensors = {}
    try:
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118 - it is no dictionary
                try:
                    tensors[name] = file.get_tensor(name)
                except UNKNOWN_TYPE_ERRORS as error:
                    kind = file.get_slice(name).get_dtype()
                    raise _type_error(name, kind) from error
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is no valid .safetensors: {error}.") from error
    return tensors


def refuse_mismatch(mismatches: Mapping[str, Collection[str]]) -> None:
    """Raises UserError with the names of each kind of mismatch, if there are any."""
    parts = []
    for kind, names in mismatches.items():
        if names:
            listed = ", ".join(sorted(names)[:MAX_LISTED_NAMES])
            left_out = len(names) - MAX_LISTED_NAMES
            more = f" and {left_out} more" if left_out > 0 else ""
            parts.append(f"{len(names)} {kind}: {listed}{more}")
    if parts:
        raise UserError(f"these weights are another network's: {'; '.join(parts)}.")
