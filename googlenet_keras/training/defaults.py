"""Defaults of the options that depend on the data, the network or other options."""

from collections.abc import Mapping
from typing import Any, Literal

import tyro

DataKind = Literal["digits", "photos"]

DATA_DEFAULTS: dict[str, tuple[Any, Any, str]] = {  # for digits, for photos; help text
    "image_size": (
        (64,),
        (224,),
        "Pixels, one or height and width; none: those of --weights, or",
    ),
    "epochs": (12, 35, "Passes over the training images, 1.6 x with --grow; none:"),
    "weight_decay": (5e-4, 2e-3, "L2 decay of kernels, added to the gradient; none:"),
    "crop_area": (0.7, 0.25, "Smallest area of a training crop (0..1); none:"),
    "grow": ("off", "off", "Begin with smaller images, of 5/8 of the size; auto:"),
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
BATCH_NORM_LEARNING_RATE, PLAIN_LEARNING_RATE = 0.05, 0.01


def by_data(option: str) -> Any:
    """The tyro flag, with a help text, of an option in DATA_DEFAULTS."""
    *values, text = DATA_DEFAULTS[option]
    digits, photos = (x[0] if isinstance(x, tuple) else x for x in values)
    default = digits if digits == photos else f"{digits} for digits, else {photos}"
    return tyro.conf.arg(help=f"{text} {default}.")


def unset_by(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the `given` ones decide, each with its unset value."""
    decided = [values for name, values in DECIDED_OPTIONS.items() if given.get(name)]
    return {name: value for values in decided for name, value in values.items()}


LEARNING_RATE_FLAG = tyro.conf.arg(
    help=f"Peak learning rate; none: {BATCH_NORM_LEARNING_RATE} with batch "
    f"normalization, {PLAIN_LEARNING_RATE} without."
)
