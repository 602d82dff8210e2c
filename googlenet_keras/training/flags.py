"""Command-line flags of a training run, derived from TrainConfig."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from googlenet_keras.errors import UserError
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.options import TrainConfig, check_resume
from googlenet_keras.training.recipes import MODERN, recipe
from googlenet_keras.training.stored_options import (
    Config,
    read_stored_options,
    update_stored_options,
)


@dataclass(frozen=True)
class _RecipeFlag:
    recipe: Annotated[str, tyro.conf.arg(help="")] = MODERN.recipe


@dataclass(frozen=True)
class _ResumeFlags:
    resume: bool = False
    run_folder: Path | None = None


def read_flags(arguments: Sequence[str] | None = None) -> TrainConfig:
    """Reads the options in `arguments`, or in sys.argv; the others are the recipe's.

    With --resume the others are those of the run in --run-folder, if there is one.
    Raises UserError for a value out of range, and for one that differs from that run's;
    exits with status 2 for an unknown flag.
    """
    stored = read_resumed_options(TrainConfig, arguments)
    config = tyro.cli(
        TrainConfig,
        args=arguments,
        default=stored or read_recipe_flag(arguments),
        prog="train.py",
        description="Trains GoogLeNet and leaves a run folder behind.",
    )
    return update_stored_options(stored, config) if stored else config


def read_recipe_flag(arguments: Sequence[str] | None) -> TrainConfig:
    """The options of the recipe that `arguments` or sys.argv name. Raises UserError."""
    flag, _ = tyro.cli(
        _RecipeFlag, args=arguments, return_unknown_args=True, add_help=False
    )
    return recipe(flag.recipe)


def read_resumed_options(
    kind: type[Config], arguments: Sequence[str] | None, required: bool = False
) -> Config | None:
    """Reads the stored options of the run to resume; None without --resume.

    None, too, if nothing has started there, unless it is `required`. Raises UserError
    for --resume without a folder.
    """
    flags, _ = tyro.cli(
        _ResumeFlags, args=arguments, return_unknown_args=True, add_help=False
    )
    check_resume(flags.resume, flags.run_folder)
    if not (flags.resume and flags.run_folder):
        return None
    folder = RunFolder(flags.run_folder)
    if folder.is_started:
        return read_stored_options(kind, folder)
    if required:
        raise UserError(
            f"--resume requires a folder with {folder.config.name}, and {folder} has "
            "none. Leave --resume out to start."
        )
    return None
