"""Every option of a search: value, unit, help and check."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from googlenet_keras.architecture.table1 import HEADS
from googlenet_keras.errors import UserError
from googlenet_keras.training.flags import read_recipe_flag, read_resumed_options
from googlenet_keras.training.options import POSITIVE, Between, TrainConfig
from googlenet_keras.training.stored_options import update_stored

# what may change on the way
FREE = (
    *("run_folder", "resume", "workers", "trials", "baselines"),
    *("retrain", "retrain_epochs", "checkpoint_minutes"),
)
SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
COUNT = re.compile(r"(\d+(?:\.\d+)?)([kMG]?)")


@dataclass(frozen=True)
class SearchConfig(TrainConfig):
    """Options of one search, beside those of the trainings that it makes."""

    epochs: Annotated[int | None, Between(1)] = None
    """Epochs of the longest trial; none: half of a training's."""
    run_folder: Path | None = None
    """Where everything goes; none: runs/search-<dataset>-<time>."""

    max_macs: str = ""
    """Largest number of multiply-adds of an image, such as 300M or 1.5G."""
    max_parameters: str = ""
    """Largest number of parameters without auxiliary heads, such as 2M."""
    max_megabytes: Annotated[float | None, POSITIVE] = None
    """Largest int8.tflite (10**6 bytes)."""
    max_milliseconds: Annotated[float | None, POSITIVE] = None
    """Longest time of int8.tflite for an image, on one thread of this machine."""

    tuner: Literal["hyperband", "bayesian", "random"] = "hyperband"
    """Which of keras-tuner's methods proposes the widths."""
    trials: Annotated[int, Between(1)] = 12
    """Trainings to make, baselines not counted."""
    level: Literal["coarse", "fine"] = "coarse"
    """What has a width of its own: each stage, or each convolution."""
    tune: tuple[Literal["dropout", "learning_rate", "variant", "heads"], ...] = ()
    """What is searched beside the widths."""
    baselines: tuple[float, ...] = (0.25, 1.0)
    """--width multiples trained for comparison, beside the one of the budget's size."""

    workers: Annotated[int, Between(0)] = 0
    """Processes on this machine that train trials at the same time; 0: this one."""
    resume: bool = False
    """Go on with the search in --run-folder."""
    retrain: bool = False
    """When the search is done, train the best as train.py does and export it."""
    retrain_epochs: Annotated[int | None, Between(1)] = None
    """Epochs of that training; none: the recipe's, or those of the longest trial."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_macs", "max_parameters"):
            _count(name, getattr(self, name))
        if self.weights:
            raise UserError(
                "a search changes the widths, and weights have theirs: no --weights, "
                "and no recipe that has them, such as finetune."
            )
        arch = self.to_architecture()
        for width in self.baselines:
            arch.scale_width(width)
        if "variant" in self.tune and (self.architecture or not arch.batch_norm):
            base = self.architecture or arch.name
            raise UserError(
                "--tune variant chooses among the variants with batch normalisation, "
                f"beginning with one of them; received {base}. Leave one of them out."
            )
        if "heads" in self.tune and len(arch.heads) < len(HEADS):
            raise UserError(
                "--tune heads needs a network with both auxiliary heads; received "
                f"{len(arch.heads)}. Leave it out."
            )

    def limits(self) -> dict[str, float]:
        """The budget by figure: macs, parameters, megabytes, milliseconds."""
        given = {
            "macs": _count("max_macs", self.max_macs),
            "parameters": _count("max_parameters", self.max_parameters),
            "megabytes": self.max_megabytes,
            "milliseconds": self.max_milliseconds,
        }
        return {name: limit for name, limit in given.items() if limit}

    def training(self, **changes: Any) -> TrainConfig:
        """The options of one training, with `changes`."""
        names = [field.name for field in dataclasses.fields(TrainConfig)]
        return TrainConfig(**{n: getattr(self, n) for n in names} | changes)


def read_search_flags(arguments: Sequence[str] | None = None) -> SearchConfig:
    """The options in `arguments`, or in sys.argv.

    With --resume they are those of the search in --run-folder. Raises UserError where
    one that is given differs from it.
    """
    begun = read_resumed_options(SearchConfig, arguments, required=True)
    config = tyro.cli(
        SearchConfig,
        args=arguments,
        default=begun or _half(read_recipe_flag(arguments)),
        prog="python -m tuning.search",
        description="Searches filter widths for a budget, and keeps what it finds.",
    )
    return update_stored(begun, config, FREE) if begun else config


def _half(recipe: TrainConfig) -> SearchConfig:
    """The recipe's options but its epochs, of which a trial has half."""
    return SearchConfig(**vars(recipe) | {"epochs": None})


def _count(name: str, text: str) -> float | None:
    if not text:
        return None
    match = COUNT.fullmatch(text)
    value = float(match[1]) * SUFFIXES[match[2]] if match else 0
    if value <= 0:
        raise UserError(
            f"{name} is a number above 0 with k, M or G behind it or nothing, such as "
            f"300M; received {text!r}."
        )
    return value
