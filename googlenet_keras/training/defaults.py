"""Defaults that depend on the data or the network, and help texts made of them."""

from typing import Any, Literal

import tyro

DataKind = Literal["digits", "photos"]

DATA_DEFAULTS: dict[str, dict[DataKind, Any]] = {
    "image_size": {"digits": (64,), "photos": (224,)},
    "epochs": {"digits": 12, "photos": 35},
    "weight_decay": {"digits": 5e-4, "photos": 2e-3},
    "crop_area": {"digits": 0.7, "photos": 0.25},
    "color_jitter": {"digits": 0.0, "photos": 0.2},
    "mirror": {"digits": "off", "photos": "on"},
    "crop_fraction": {"digits": 1.0, "photos": 0.875},
}
"""The value of an option that is left open, by option and kind of data."""

LEARNING_RATES = {True: 0.05, False: 0.01}  # with batch normalization, and without


def default_options(kind: DataKind, batch_norm: bool) -> dict[str, Any]:
    """The value of each option that may be left open, for such data and network."""
    options = {name: values[kind] for name, values in DATA_DEFAULTS.items()}
    return options | {"learning_rate": LEARNING_RATES[batch_norm]}


def data_default(option: str, text: str, unset: str = "none:") -> Any:
    """A flag whose help is `text` and the option's default for each kind of data."""
    values = DATA_DEFAULTS[option]
    digits, photos = (_show(values[kind]) for kind in ("digits", "photos"))
    return tyro.conf.arg(help=f"{text}; {unset} {digits} for digits, else {photos}.")


def learning_rate_default(text: str) -> Any:
    """A flag whose help is `text` and the default learning rates."""
    with_norm, without = LEARNING_RATES[True], LEARNING_RATES[False]
    return tyro.conf.arg(
        help=f"{text}; none: {with_norm:g} with batch normalization, {without:g} "
        "without."
    )


def _show(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
