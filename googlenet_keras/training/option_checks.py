"""Checks the values of options, and reads options from JSON."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError, unknown_choice_error
from googlenet_keras.files import convert

Options = TypeVar("Options")


def check_options(options: Any) -> None:
    """Converts a dataclass's fields to their annotated types, such as a text to a Path.

    Raises UserError for a value that breaks its annotation.
    """
    hints = typing.get_type_hints(type(options), include_extras=True)
    for name, hint in hints.items():
        value = getattr(options, name)
        if dataclasses.is_dataclass(value):
            continue
        annotated = typing.get_origin(hint) is Annotated
        base = typing.get_args(hint)[0] if annotated else hint
        choices = typing.get_args(base)
        if typing.get_origin(base) is Literal and value not in choices:
            raise unknown_choice_error(name, str(value), choices)
        if "\0" in "".join(map(str, value if isinstance(value, tuple) else [value])):
            raise UserError(f"{name} must have no null characters; received {value!r}.")
        value = value.item() if hasattr(value, "item") else value  # NumPy's numbers
        is_single = isinstance(value, int | float | str | Path)
        if typing.get_origin(base) is tuple and is_single:
            value = (value,)  # one side of a square image, one budget
        converted = convert(value, hint, f"{name}={value!r:.100}")
        object.__setattr__(options, name, converted)


def read_options(kind: type[Options], data: Mapping[str, Any]) -> Options:
    """Builds a dataclass from JSON; ignores unknown names.

    Raises UserError for a value that no option can have.
    """
    hints = typing.get_type_hints(kind)
    return kind(**{name: value for name, value in data.items() if name in hints})


def check_resume(resume: bool, run_folder: Path | None) -> None:
    """Raises UserError for --resume without a run folder."""
    if resume and not run_folder:
        raise UserError("--resume requires --run-folder.")


def check_folds(
    folds: int, fold: int, fold_seed: int | None, has_teacher: bool
) -> None:
    """Raises UserError for a fold that is none of --folds, and for a teacher."""
    if folds == 1 or fold > folds:
        raise UserError(
            "folds must be 0 or at least 2, and fold one of them; received "
            f"folds={folds} and fold={fold}."
        )
    if fold_seed is not None and not folds:
        raise UserError(
            f"fold_seed divides the images into folds; received {fold_seed} without "
            "folds. Add --folds, or leave it out."
        )
    if folds and has_teacher:
        raise UserError(
            "a teacher that has seen the images of a fold would tell its answers "
            "to the network that is tested on them; leave out --folds or --teacher."
        )


def check_plans(options: Any) -> None:
    """Raises UserError for options of a training that plan its epochs twice."""
    sizes, grows = options.image_sizes, options.grow == "on"
    if options.minutes and (options.folds or sizes or options.teacher):
        way_out = "leave out" if sizes else "give --epochs in place of"
        raise UserError(
            "minutes plans the epochs of one network, without image_sizes and without "
            f"a teacher; {way_out} --minutes {options.minutes:g}."
        )
    if sizes and grows:
        raise UserError(
            "grow chooses the image sizes, and image_sizes has them; leave out one."
        )
    if options.patience and (sizes or grows):
        name, flag = ("grow", "--grow") if grows else ("image_sizes", "--image-sizes")
        raise UserError(
            f"{name} plans every epoch, and its last size is the network's; leave out "
            f"--patience or {flag}."
        )


def check_gamma_penalty(penalty: float, arch: Architecture) -> None:
    """Raises UserError for a penalty on the gammas of a network that has none."""
    if penalty and not (arch.batch_norm and arch.gamma):
        raise UserError(
            f"gamma_penalty={penalty:g} needs batch normalization with gammas, which "
            f"{arch.name} has not; leave it out, or use --variant bn."
        )


def plain_value(value: Any) -> Any:
    """The value of an option as JSON has it: paths become texts."""
    if isinstance(value, tuple):
        return tuple(map(plain_value, value))
    return str(value) if isinstance(value, Path) else value
