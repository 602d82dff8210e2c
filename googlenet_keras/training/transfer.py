"""Transfer learning: copies pretrained weights and freezes layers."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from googlenet_keras.architecture import table1
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.table1 import Conv, Inception
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.artifacts.artifact import find_run
from googlenet_keras.classifier import Classifier, description_file
from googlenet_keras.data.dataset import match_names
from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user
from googlenet_keras.network.weights import check_shapes, named_weights, weight_name
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.options import TrainConfig

HEAD_NAMES = ("main", *(head.name for head in table1.AUXILIARY_HEADS))
WeightsFinder = Callable[[TrainConfig], Path]
"""Gives the folder of the Classifier that config.weights names."""


def load_initial_classifier(
    config: TrainConfig, find_weights: WeightsFinder | None = None
) -> tuple[TrainConfig, Classifier]:
    """Returns `config` with the architecture of --weights, and their Classifier.

    The image size is the Classifier's unless image_size or image_sizes is given.
    find_weights: None if config.weights is a folder. Raises UserError.
    """
    folder = find_weights(config) if find_weights else expand_user(config.weights)
    file = description_file(folder)
    start = Classifier.load(file.parent)
    variant = start.architecture.name
    allowed = (variant, BATCH_NORM.name)  # the default counts as not given
    if not config.architecture and config.variant not in allowed:
        raise UserError(
            f"weights come with their network; {config.weights} has {variant!r}, and "
            f"--variant {config.variant} was given. Give --variant {variant}, or other "
            "weights."
        )
    architecture = config.architecture or file
    config = replace(config, architecture=architecture)
    if not (config.image_size or config.image_sizes):
        config = replace(config, image_size=start.preprocessing.size)
    return config, start


def check_weights_of_folds(config: TrainConfig) -> None:
    """Raises UserError for --folds with the --weights of a run on the same data."""
    if not (config.folds and config.weights):
        return
    run = RunFolder.of_network(find_run(expand_user(config.weights)))
    if run.is_started and run.is_own_data(config.dataset):
        raise UserError(
            "weights that were trained on the images of a fold would make its figures "
            f"too good, and {config.weights} was trained on {config.dataset}. Leave "
            "out --folds, or start from --weights of other images."
        )


def is_trunk(layer: str) -> bool:
    """Whether the layer is in the trunk: in no head, not even the main one."""
    return layer.split("_")[0] not in HEAD_NAMES


def copy_weights(network: keras.Model, start: Classifier, labels: Sequence[str]) -> str:
    """Copies the weights of `start` to a network for `labels`; returns a summary.

    The trunk is copied whole; of a head, what belongs to the classes that `start` knows
    by name. A head that `start` lacks or has in another form, as for another image
    size, keeps its initialization. Raises UserError if the trunks differ.
    """
    weights = named_weights(start.network)
    variables = {weight_name(v): v for v in network.weights}
    check_shapes(_trunk(weights), _trunk(variables))
    places = enumerate(match_names(labels, start.labels))
    known = [(target, source) for target, source in places if source is not None]
    count = len(known)
    if start.none_output and network.output["main"].shape[1] > len(labels):
        known.append((-1, -1))  # none of the classes
    targets, sources = ([pair[i] for pair in known] for i in (0, 1))
    heads = [head for head in HEAD_NAMES if _head_matches(head, weights, variables)]
    for name, variable in variables.items():
        layer = name.split("/")[0]
        if layer in heads:
            value = np.array(variable)
            value[..., targets] = weights[name][..., sources]
            variable.assign(value)
        elif is_trunk(layer) or layer.split("_")[0] in heads:
            variable.assign(weights[name])
    parts = ", ".join(["the trunk", *(head for head in heads if head != "main")])
    count = count if "main" in heads else 0
    return (
        f"copied {parts}; {count} of {len(labels)} classes are known by name, the "
        "others are initialized"
    )


def digest(start: Classifier | None) -> str:
    """A digest of the weights and labels; "" for None."""
    if not start:
        return ""
    digest = hashlib.sha256(repr(start.labels).encode())
    for name, value in sorted(named_weights(start.network).items()):
        digest.update(name.encode() + value.tobytes())
    return digest.hexdigest()


def freeze(network: keras.Model, arch: Architecture, until: str) -> None:
    """Freezes the layers up to row `until`, or the whole trunk for "all".

    until: "none", "all" or a module's short name, such as 4e. Frozen batch
    normalization uses its moving statistics in training, too.
    """
    if until == "none":
        return
    rows = [f"{row.name}_" for row in arch.rows]
    last = f"inception_{until}_"
    if last in rows:
        del rows[rows.index(last) + 1 :]
    for layer in network.layers:
        if f"{layer.name}_".startswith(tuple(rows)):
            layer.trainable = False


def layer_multipliers(
    network: keras.Model, arch: Architecture, config: TrainConfig
) -> dict[str, float]:
    """Factors on the learning rate of the trunk's layers, by name; the heads have none.

    A factor is --trunk-learning-rate, times --layer-decay to the power of the module's
    distance from the main head: 1 for 5b, 2 for 5a, to 11 for conv1 (arXiv 2003.10555,
    2106.08254).
    """
    learning = (row for row in arch.rows if isinstance(row, Conv | Inception))
    modules = list(dict.fromkeys(_module(row.name) for row in learning))
    layers = {weight_name(v).rpartition("/")[0] for v in network.weights}
    factors = {}
    for layer in sorted(filter(is_trunk, layers)):
        distance = len(modules) - modules.index(_module(layer))
        factor = config.trunk_learning_rate * config.layer_decay**distance
        if factor != 1:
            factors[layer] = factor
    return factors


def _module(layer: str) -> str:
    """The module of a layer or a row: conv1, conv2, inception_3a and so on."""
    first, _, rest = layer.partition("_")
    return f"{first}_{rest.partition('_')[0]}" if first == "inception" else first


def _head_matches(
    head: str, weights: Mapping[str, np.ndarray], variables: Mapping[str, Any]
) -> bool:
    """Whether a head has the same shapes in both networks, except for the classes."""
    target, source = (
        {
            name: tuple(value.shape)[: -1 if name.startswith(f"{head}/") else None]
            for name, value in values.items()
            if name.startswith((f"{head}/", f"{head}_"))
        }
        for values in (variables, weights)
    )
    return target == source


def _trunk(values: Mapping[str, Any]) -> dict[str, Any]:
    return {n: value for n, value in values.items() if is_trunk(n.split("/")[0])}
