"""Whence each weight comes: every tensor of a file is read once, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.network.weights import refuse_mismatch
from googlenet_keras.weights.layouts import Turn, as_it_is

Tensors = Mapping[str, np.ndarray]
"""A file's tensors by their names there."""


@dataclass(frozen=True)
class Contents:
    """What a file holds: its tensors, and its padding rule where it has the graph."""

    tensors: Tensors
    padding: str | None = None


@dataclass(frozen=True)
class Origin:
    """A tensor's name in the file, and what makes it ours."""

    name: str
    turn: Turn = as_it_is


def taken(tensors: Tensors, origins: Mapping[str, Origin]) -> dict[str, np.ndarray]:
    """Our weights by name, float32.

    Raises UserError where one is missing, left over, of another rank or not finite.
    """
    found = {ours: origin for ours, origin in origins.items() if origin.name in tensors}
    used = {origin.name for origin in found.values()}
    weights, misshapen = {}, []
    for ours, origin in found.items():
        value = tensors[origin.name]
        try:
            weights[ours] = np.ascontiguousarray(origin.turn(value), np.float32)
        except (ValueError, IndexError, TypeError):
            misshapen.append(f"{origin.name} is {value.shape}")
    refuse_mismatch(
        {
            "missing": sorted({o.name for o in origins.values()} - used),
            "left over": sorted(tensors.keys() - used),
            "misshapen": sorted(misshapen),
        }
    )
    for ours, value in weights.items():
        if not np.isfinite(value).all():
            raise UserError(f"weights must be finite; {origins[ours].name} are not.")
    return weights


def layers(arch: Architecture, heads: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(layer, its auxiliary head or "") of convolutions and heads' hidden layers.

    heads: the auxiliary ones that are wanted.
    """
    for layer in arch.widths():
        head = next((h.name for h in arch.heads if layer.startswith(f"{h.name}_")), "")
        if not head or head in heads:
            yield layer, head


def normalised(layer: str, names: Mapping[str, str]) -> Iterator[tuple[str, Origin]]:
    """The origins of a batch normalisation; names: theirs by ours."""
    for ours, theirs in names.items():
        yield f"{layer}_bn/{ours}", Origin(theirs)
