"""Defaults that depend on the data or the network, and their help texts."""

from typing import Any, Literal, NamedTuple

import tyro

DataKind = Literal["digits", "photos"]


class DataDefault(NamedTuple):
    """The defaults of an option for digits and for photographs, and its help text.

    help: what it is.
    """

    digits: Any
    photos: Any
    help: str


DATA_DEFAULTS = {
    "image_size": DataDefault(
        (64,), (224,), "Pixels, one or height and width; none: those of --weights, or"
    ),
    "epochs": DataDefault(12, 35, "Passes over the training images; none:"),
    "weight_decay": DataDefault(
        5e-4, 2e-3, "L2 decay of kernels, added to the gradient; none:"
    ),
    "crop_area": DataDefault(
        0.7, 0.25, "Smallest area of a training crop (0..1); none:"
    ),
    "mirror": DataDefault("off", "on", "Mirror half of the training images; auto:"),
    "color_jitter": DataDefault(
        0.0, 0.2, "Change of brightness, contrast, saturation (0..1); none:"
    ),
    "crop_fraction": DataDefault(
        1.0, 0.875, "Side of the evaluation's center crop (0..1); none:"
    ),
}
LEARNING_RATE_BY_BATCH_NORM = {
    True: 0.05,
    False: 0.01,
}  # with batch normalization, and without


def default_options(kind: DataKind, batch_norm: bool) -> dict[str, Any]:
    """Defaults for this kind of data and network, by option name."""
    options = {name: getattr(row, kind) for name, row in DATA_DEFAULTS.items()}
    return options | {"learning_rate": LEARNING_RATE_BY_BATCH_NORM[batch_norm]}


def data_default(option: str) -> Any:
    """The tyro flag, with a help text, of an option in DATA_DEFAULTS."""
    *values, text = DATA_DEFAULTS[option]
    digits, photos = (x[0] if isinstance(x, tuple) else x for x in values)
    return tyro.conf.arg(help=f"{text} {digits} for digits, else {photos}.")


LEARNING_RATE_FLAG = tyro.conf.arg(
    help=f"Peak learning rate; none: {LEARNING_RATE_BY_BATCH_NORM[True]} with batch "
    f"normalization, {LEARNING_RATE_BY_BATCH_NORM[False]} without."
)
