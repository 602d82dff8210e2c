"""What a network begins with that starts from another one, and what of it learns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from googlenet_keras.architecture import table1
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.classifier import Classifier, description_file
from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user
from googlenet_keras.network.weights import (
    named_weights,
    refuse_mismatch,
    weight_name,
)
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training import checkpoints
from googlenet_keras.training.options import TrainConfig

HEADS = ("main", *(head.name for head in table1.HEADS))
Find = Callable[[TrainConfig], Path]
"""Gives the folder of the Classifier that config.weights stands for."""


def opened(
    config: TrainConfig, find: Find | None, begun: bool
) -> tuple[TrainConfig, Classifier | None]:
    """The Classifier that --weights asks for, and the options with its network.

    None of a run that has a checkpoint: that tells all. The size of image is the
    Classifier's where none is given. Raises UserError.
    """
    if not config.weights or (begun and _has_checkpoint(config.run_folder)):
        return config, None
    file = description_file(find(config) if find else expand_user(config.weights))
    old = Classifier.load(file.parent)
    _refuse_other_variant(config, old.architecture.name)
    size = (old.preprocessing.height, old.preprocessing.width)
    return replace(
        config,
        architecture=config.architecture or file,
        image_size=config.image_size or size,
    ), old


def _refuse_other_variant(config: TrainConfig, found: str) -> None:
    default = config.variant == BATCH_NORM.name  # nobody may have asked for it
    if not (default or config.architecture or config.variant == found):
        raise UserError(
            f"weights come with their network; {config.weights} has {found!r}, and "
            f"--variant {config.variant} was asked for. Give --variant {found}, or "
            "other weights."
        )


def _has_checkpoint(folder: Path) -> bool:
    return checkpoints.newest(RunFolder(folder).checkpoints, remove=False) is not None


def of_trunk(layer: str) -> bool:
    """Whether the layer of that name is part of no head, the main one included."""
    return layer.split("_")[0] not in HEADS


def start_from(network: keras.Model, old: Classifier, labels: Sequence[str]) -> str:
    """Gives `network`, for these labels, what `old` has learnt; says what that is.

    The trunk is taken whole. A classifier keeps what belongs to the classes that it
    knows by name, and begins anew for others. An auxiliary head that `old` has not, or
    has for another size of image, begins anew altogether. Raises UserError where the
    trunks differ.
    """
    weights = named_weights(old.network)
    variables = {weight_name(v): v for v in network.weights}
    _refuse_other_trunk(weights, variables)
    known = [label for label in labels if label in old.labels]
    there = [old.labels.index(label) for label in known]
    here = [list(labels).index(label) for label in known]
    taken = [head for head in HEADS if _fits(head, weights, variables)]
    for name, variable in variables.items():
        layer = name.split("/")[0]
        if layer in taken:
            value = np.array(variable)
            value[..., here] = weights[name][..., there]
            variable.assign(value)
        elif of_trunk(layer) or layer.split("_")[0] in taken:
            variable.assign(weights[name])
    heads = "".join(f", {head}" for head in taken if head != "main")
    return (
        f"the trunk{heads} taken over; {len(known)} of {len(labels)} classes are known "
        "by name, the others begin anew"
    )


def digest(old: Classifier | None) -> str:
    """Another one for other weights or labels."""
    if not old:
        return ""
    found = hashlib.sha256(repr(old.labels).encode())
    for name, value in sorted(named_weights(old.network).items()):
        found.update(name.encode() + value.tobytes())
    return found.hexdigest()


def freeze(network: keras.Model, arch: Architecture, until: str) -> None:
    """Keeps the layers up to row `until`, or the whole trunk for "all", as they are.

    until: "none", "all" or a module's short name, such as 4e. Normalisation within uses
    its moving statistics in training, too.
    """
    rows = tuple(f"{name}_" for name in _rows_until(arch, until))
    for layer in network.layers:
        if f"{layer.name}_".startswith(rows):
            layer.trainable = False


def _rows_until(arch: Architecture, until: str) -> Iterator[str]:
    if until == "none":
        return
    for row in arch.rows:
        yield row.name
        if row.name == f"inception_{until}":
            return


def _fits(head: str, weights: Mapping, variables: Mapping) -> bool:
    """Whether a head has the same layers in both, but for the number of classes."""
    ours, theirs = (
        {
            name: tuple(value.shape)[: -1 if name.startswith(f"{head}/") else None]
            for name, value in found.items()
            if name.startswith((f"{head}/", f"{head}_"))
        }
        for found in (variables, weights)
    )
    return ours == theirs


def _refuse_other_trunk(weights: Mapping, variables: Mapping) -> None:
    ours, theirs = (
        {n: tuple(found[n].shape) for n in found if of_trunk(n.split("/")[0])}
        for found in (variables, weights)
    )
    refuse_mismatch(
        {
            "missing": sorted(ours.keys() - theirs.keys()),
            "left over": sorted(theirs.keys() - ours.keys()),
            "misshapen": sorted(
                f"{name} is {theirs[name]}, not {ours[name]}"
                for name in ours.keys() & theirs.keys()
                if ours[name] != theirs[name]
            ),
        }
    )
