"""Defaults of the options that depend on the data, the network or other options."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import tyro

from googlenet_keras.architecture.arithmetic import height_and_width
from googlenet_keras.training.stages import parse_stages

if TYPE_CHECKING:
    from googlenet_keras.training.options import TrainConfig

DataKind = Literal["digits", "photos"]

DATA_DEFAULTS: dict[str, tuple[Any, Any, str]] = {  # for digits, for photos; help text
    "image_size": (
        (64,),
        (224,),
        "Pixels, one or height and width; none: those of --weights, or",
    ),
    "epochs": (12, 35, "Passes over the images, 24 of photos with muon; none:"),
    "weight_decay": (5e-4, 2e-3, "L2 decay of kernels; none:"),
    "crop_area": (0.7, 0.25, "Smallest area of a training crop (0..1); none:"),
    "mirror": ("off", "on", "Mirror half of the training images; auto:"),
    "color_jitter": (
        0.0,
        0.2,
        "Change of brightness, contrast, saturation (0..1); none:",
    ),
}
# what these options decide in place of a recipe, with the unset values
DECIDED_OPTIONS: dict[str, dict[str, Any]] = {
    "image_sizes": {"epochs": None, "image_size": ()},
    "minutes": {"epochs": None},
}
UNSET_VALUES = (None, (), "auto")  # the data, the network or the machine decide
MUON_EPOCHS = 24  # of photos
MIN_GROWN_SIDE = 96  # pixels; --grow auto is off below, where it was not measured
BATCH_NORM_LEARNING_RATE, PLAIN_LEARNING_RATE = 0.05, 0.01


def by_data(option: str) -> Any:
    """The tyro flag, with a help text, of an option in DATA_DEFAULTS."""
    *values, text = DATA_DEFAULTS[option]
    digits, photos = (x[0] if isinstance(x, tuple) else x for x in values)
    default = digits if digits == photos else f"{digits} for digits, else {photos}"
    return tyro.conf.arg(help=f"{text} {default}.")


def defaults_of(options: TrainConfig, kind: DataKind) -> dict[str, Any]:
    """Defaults of the options that are unset, for this kind of data and the network."""
    column = typing.get_args(DataKind).index(kind)
    values: dict[str, Any]
    values = {name: row[column] for name, row in DATA_DEFAULTS.items()}
    values["grow"] = "on" if _grows(options, kind) else "off"
    has_norm = options.to_architecture().batch_norm
    rates = (PLAIN_LEARNING_RATE, BATCH_NORM_LEARNING_RATE)
    values["learning_rate"] = rates[has_norm]
    values["optimizer"] = "muon" if has_norm and not options.weights else "sgd"
    optimizer = options.optimizer.replace("auto", values["optimizer"])
    if (kind, optimizer) == ("photos", "muon"):
        values["epochs"] = MUON_EPOCHS
    if stages := parse_stages(options.image_sizes):
        values |= {"epochs": stages[-1].end, "image_size": stages[-1].size}
    return {k: v for k, v in values.items() if getattr(options, k) in UNSET_VALUES}


def _grows(options: TrainConfig, kind: DataKind) -> bool:
    """Whether --grow auto is on: as measured, where nothing else plans the sizes."""
    has_plan = options.grow != "auto" or options.image_sizes or options.patience
    if kind == "digits" or has_plan or options.weights:
        return False
    _, photos, _ = DATA_DEFAULTS["image_size"]
    side = min(height_and_width(options.image_size or photos))
    return side >= MIN_GROWN_SIDE and options.to_architecture().batch_norm


def unset_by(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the `given` ones decide, each with its unset value."""
    decided = [values for name, values in DECIDED_OPTIONS.items() if given.get(name)]
    return {name: value for values in decided for name, value in values.items()}


LEARNING_RATE_FLAG = tyro.conf.arg(
    help=f"Peak learning rate; none: {BATCH_NORM_LEARNING_RATE} with batch "
    f"normalization, {PLAIN_LEARNING_RATE} without."
)
