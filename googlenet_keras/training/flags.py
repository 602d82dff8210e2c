"""Command-line flags of a training run, derived from TrainConfig."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from googlenet_keras.training.config import TrainConfig
from googlenet_keras.training.recipes import MODERN, recipe


@dataclass(frozen=True)
class _RecipeFlag:
    recipe: str = MODERN.recipe


def read_flags(arguments: Sequence[str] | None = None) -> TrainConfig:
    """The options in `arguments`, or in sys.argv; what is not given is the recipe's.

    Raises UserError for a value out of range; exits with 2 for a flag that is unknown.
    """
    return tyro.cli(
        TrainConfig,
        args=arguments,
        default=chosen_recipe(arguments),
        prog="train.py",
        description="Trains GoogLeNet and leaves a run folder behind.",
    )


def chosen_recipe(arguments: Sequence[str] | None) -> TrainConfig:
    """The recipe that `arguments`, or sys.argv, name. Raises UserError."""
    quiet = Annotated[_RecipeFlag, tyro.conf.arg(help="")]
    chosen, _ = tyro.cli(
        quiet, args=arguments, return_unknown_args=True, add_help=False
    )
    return recipe(chosen.recipe)
