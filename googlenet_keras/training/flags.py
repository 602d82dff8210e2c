"""Command-line flags of a training run, derived from TrainConfig."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user, read_json
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.options import OPEN, TrainConfig, read_architecture
from googlenet_keras.training.recipes import MODERN, recipe

# what may differ when a run goes on, since the weights do not depend on it
FREE = ("run_folder", "resume", "checkpoint_minutes", "download")
PATHS = ("dataset", "data_dir", "weights")
Config = TypeVar("Config", bound=TrainConfig)


@dataclass(frozen=True)
class _RecipeFlag:
    recipe: str = MODERN.recipe


@dataclass(frozen=True)
class _ResumeFlags:
    resume: bool = False
    run_folder: Path | None = None


def read_flags(arguments: Sequence[str] | None = None) -> TrainConfig:
    """The options in `arguments`, or in sys.argv; what is not given is the recipe's.

    With --resume they are those of the run in --run-folder, if there is one. Raises
    UserError for a value out of range, and where one that is given differs from that
    run's; exits with 2 for a flag that is unknown.
    """
    begun = stored(TrainConfig, arguments)
    config = tyro.cli(
        TrainConfig,
        args=arguments,
        default=begun or chosen_recipe(arguments),
        prog="train.py",
        description="Trains GoogLeNet and leaves a run folder behind.",
    )
    return kept(begun, config, FREE) if begun else config


def chosen_recipe(arguments: Sequence[str] | None) -> TrainConfig:
    """The recipe that `arguments`, or sys.argv, name. Raises UserError."""
    quiet = Annotated[_RecipeFlag, tyro.conf.arg(help="")]
    chosen, _ = tyro.cli(
        quiet, args=arguments, return_unknown_args=True, add_help=False
    )
    return recipe(chosen.recipe)


def stored(
    kind: type[Config], arguments: Sequence[str] | None, required: bool = False
) -> Config | None:
    """The options that what --resume names began with; None where it is not asked for.

    None, too, where nothing has begun, unless it is `required`. Raises UserError for
    --resume without a folder.
    """
    given, _ = tyro.cli(
        _ResumeFlags, args=arguments, return_unknown_args=True, add_help=False
    )
    if given.resume and not given.run_folder:
        raise UserError("--resume needs the --run-folder to go on with; none came.")
    if not given.resume:
        return None
    file = RunFolder(given.run_folder).config
    if not file.is_file():
        if required:
            raise UserError(
                f"--resume goes on with what was begun; {given.run_folder} has no "
                f"{file.name}. Leave --resume out to begin."
            )
        return None
    return begun_with(kind, given.run_folder)


def begun_with(kind: type[Config], folder: Path) -> Config:
    """The options in `folder`'s config.json, wherever the folder is now."""
    options = read_json(RunFolder(folder).config)
    fields = {field.name for field in dataclasses.fields(kind)}
    if strange := sorted(options.keys() - fields - {"widths"}):
        raise UserError(
            f"{folder} was begun by another program or version: its config.json "
            f"has {', '.join(strange)}. Name a folder that this one began."
        )
    if RunFolder(folder).architecture.is_file():
        options["architecture"] = str(RunFolder(folder.resolve()).architecture)
    return kind.from_json(options | {"run_folder": str(folder)})


def kept(before: Config, now: Config, free: Collection[str]) -> Config:
    """`before` with the options of `now` that are `free` to change.

    Raises UserError where another one differs.
    """
    old, new = before.to_json(), now.to_json()
    changed = [n for n in new if n not in free and not _same(n, old[n], new[n])]
    if changed:
        listed = ", ".join(
            f"--{name.replace('_', '-')} was {old[name]!r} and is {new[name]!r}"
            for name in changed
        )
        raise UserError(
            f"--resume goes on with the options it began with; {listed}. Leave them "
            "out, or begin anew in another --run-folder."
        )
    return replace(before, **{name: getattr(now, name) for name in free})


def _same(name: str, before: Any, now: Any) -> bool:
    """Whether an option is as it was; a path may be written in another way."""
    if now == before or now in OPEN:  # what was left open is as it was decided
        return True
    if not (isinstance(now, str) and isinstance(before, str)):
        return False
    if name == "architecture":  # there may be a copy
        return read_architecture(Path(now)) == read_architecture(Path(before))
    return name in PATHS and expand_user(now).resolve() == Path(before)
