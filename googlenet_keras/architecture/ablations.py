"""Ablations: networks without what the paper argues for, to count and to train."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.table1 import Inception
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.errors import unknown_choice_error

DENSE_UNITS = 1024  # as many as the last map has channels


@dataclass(frozen=True)
class Ablation:
    """A change to a network: its new fields, and the sentence that says so."""

    changes: Callable[[Architecture], dict[str, Any]]
    difference: str


def ablate(
    variant: str | Architecture = "bn",
    *,
    module: str | None = None,
    head: str | None = None,
) -> Architecture:
    """A network without some of the paper's ideas; bn becomes bn_naive, for example.

    module: "naive", Inception modules without 1x1 reductions and pooling projections.
    head: "dense", a hidden dense layer of 1024 units on the flattened last map in place
    of global average pooling. None: as the variant has it. Raises UserError.
    """
    arch = get_architecture(variant)
    for option, chosen in (("module", module), ("head", head)):
        if chosen is None:
            continue
        if chosen not in ABLATIONS[option]:
            raise unknown_choice_error(option, chosen, ABLATIONS[option])
        ablation = ABLATIONS[option][chosen]
        changed = replace(arch, **ablation.changes(arch))
        if changed != arch:
            differences = (*arch.differences, ablation.difference)
            name = f"{arch.name}_{chosen}"
            arch = replace(changed, name=name, differences=differences)
    return arch


def without_reductions(module: Inception) -> Inception:
    """The naive form of an Inception module."""
    return replace(module, reduce3x3=None, reduce5x5=None, pool_proj=None)


NAIVE_MODULES = Ablation(
    lambda arch: {
        "rows": tuple(
            without_reductions(row) if isinstance(row, Inception) else row
            for row in arch.rows
        )
    },
    "Inception modules are naive: their 3x3 and 5x5 convolutions read the whole input, "
    "and their pooled input is not projected.",
)
DENSE_HEAD = Ablation(
    lambda arch: {"dense_units": arch.dense_units or DENSE_UNITS},
    "A dense layer on the flattened last map comes before the main classifier, "
    "in place of global average pooling.",
)
ABLATIONS = {"module": {"naive": NAIVE_MODULES}, "head": {"dense": DENSE_HEAD}}
