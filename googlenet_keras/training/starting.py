"""What a network begins with that starts from another one, and what of it learns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from googlenet_keras.architecture.variants import Architecture
from googlenet_keras.classifier import Classifier, description_file
from googlenet_keras.network.assign import named_weights, refuse, weight_name
from googlenet_keras.training.config import TrainConfig

HEADS = ("main", "aux1", "aux2")


def opened(
    config: TrainConfig, folder: Path | None
) -> tuple[TrainConfig, Classifier | None]:
    """The Classifier that --weights asks for, and the options with its network.

    folder: where it is, if `config` does not name it. The size of image is its own
    where none is given. Raises UserError.
    """
    if not config.weights:
        return config, None
    file = description_file(folder or Path(config.weights).expanduser())
    old = Classifier.load(file.parent)
    size = (old.preprocessing.height, old.preprocessing.width)
    return replace(
        config,
        architecture=config.architecture or file,
        image_size=config.image_size or size,
    ), old


def of_trunk(layer: str) -> bool:
    """Whether the layer of that name is part of no head, the main one included."""
    return layer.split("_")[0] not in HEADS


def start_from(network: keras.Model, old: Classifier, labels: Sequence[str]) -> str:
    """Gives `network`, for these labels, what `old` has learnt; says what that is.

    The trunk is taken whole. A classifier keeps what belongs to the classes that it
    knows by name, and begins anew for others; so do hidden layers of auxiliary heads
    that `old` has not, or has for another size of image. Raises UserError where the
    trunks differ.
    """
    weights = named_weights(old.network)
    variables = {weight_name(v): v for v in network.weights}
    _refuse_other_trunk(weights, variables)
    known = [label for label in labels if label in old.labels]
    old_numbers = [old.labels.index(label) for label in known]
    numbers = [list(labels).index(label) for label in known]
    kept = set()
    for name, variable in variables.items():
        layer = name.split("/")[0]
        if name not in weights:
            continue
        if layer in HEADS:
            value = np.array(variable)
            value[..., numbers] = weights[name][..., old_numbers]
            variable.assign(value)
        elif weights[name].shape == tuple(variable.shape):
            variable.assign(weights[name])
            kept.update({layer.split("_")[0]} & set(HEADS))
    taken = ", ".join(["the trunk", *(f"what is hidden in {h}" for h in sorted(kept))])
    return (
        f"{taken} taken over; {len(known)} of {len(labels)} classes are known by name, "
        "the others begin anew"
    )


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


def _refuse_other_trunk(weights: dict, variables: dict) -> None:
    ours, theirs = (
        {n: tuple(found[n].shape) for n in found if of_trunk(n.split("/")[0])}
        for found in (variables, weights)
    )
    refuse(
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
