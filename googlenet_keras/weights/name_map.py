"""Maps a file's tensors to Keras weights by name: each is used once or refused."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.weights.layouts import Transform, identity

Tensors = Mapping[str, np.ndarray]
"""A file's tensors by their names there."""


@dataclass(frozen=True)
class WeightFile:
    """The content of a file: its tensors, and its padding rule if it has a graph."""

    tensors: Tensors
    padding: str | None = None


@dataclass(frozen=True)
class WeightSource:
    """The name of a tensor in the file, and the transform to Keras's layout."""

    name: str
    transform: Transform = identity


def map_weights(
    tensors: Tensors, sources: Mapping[str, WeightSource]
) -> dict[str, np.ndarray]:
    """Maps a file's tensors to Keras weights by name, in float32.

    sources: one for each of these names. Raises UserError if a tensor is missing, left
    over, misshapen or not finite.
    """
    from googlenet_keras.network.weights import refuse_mismatch  # imports Keras

    present = {
        ours: source for ours, source in sources.items() if source.name in tensors
    }
    used = {source.name for source in present.values()}
    weights, misshapen = {}, []
    for ours, source in present.items():
        value = tensors[source.name]
        try:
            weights[ours] = np.ascontiguousarray(source.transform(value), np.float32)
        except (ValueError, IndexError, TypeError):
            misshapen.append(f"{source.name} is {value.shape}")
    refuse_mismatch(
        {
            "missing": sorted({source.name for source in sources.values()} - used),
            "left over": sorted(tensors.keys() - used),
            "misshapen": sorted(misshapen),
        }
    )
    for ours, value in weights.items():
        if not np.isfinite(value).all():
            raise UserError(f"weights must be finite; {sources[ours].name} are not.")
    return weights


def layers_with_weights(
    arch: Architecture, heads: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Yields (layer, auxiliary head or "") for each layer before the logits.

    heads: the auxiliary heads to include.
    """
    for layer in arch.widths():
        head = next((h.name for h in arch.heads if layer.startswith(f"{h.name}_")), "")
        if not head or head in heads:
            yield layer, head


def batch_norm_sources(
    layer: str, names: Mapping[str, str]
) -> Iterator[tuple[str, WeightSource]]:
    """Yields (weight name, source) for each weight of a batch normalization.

    names: theirs by ours.
    """
    for ours, theirs in names.items():
        yield f"{layer}_bn/{ours}", WeightSource(theirs)
