"""Every option of a search: value, unit, help and check."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from googlenet_keras import records
from googlenet_keras.architecture.table1 import HEADS
from googlenet_keras.errors import UserError
from googlenet_keras.training.config import POSITIVE, Between, TrainConfig
from googlenet_keras.training.flags import chosen_recipe

# what may change on the way
FREE = ("resume", "workers", "trials", "baselines", "retrain", "retrain_epochs")
PATHS = ("dataset", "data_dir")
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
        arch = self.to_architecture()
        for width in self.baselines:
            arch.widened(width)
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
    stored = _stored(arguments)
    config = tyro.cli(
        SearchConfig,
        args=arguments,
        default=stored or _begun(chosen_recipe(arguments)),
        prog="python -m tuning.search",
        description="Searches filter widths for a budget, and keeps what it finds.",
    )
    if stored:
        _refuse_changes(stored, config)
    return config


def _begun(recipe: TrainConfig) -> SearchConfig:
    """The recipe's options but its epochs, of which a trial has half."""
    return SearchConfig(**vars(recipe) | {"epochs": None})


def _stored(arguments: Sequence[str] | None) -> SearchConfig | None:
    """The options of the search to go on with, where --resume asks for one."""
    given, _ = tyro.cli(
        _ResumeFlags, args=arguments, return_unknown_args=True, add_help=False
    )
    if not given.resume:
        return None
    if not given.run_folder:
        raise UserError(
            "--resume goes on with a search, and needs its --run-folder; none came."
        )
    path = given.run_folder / records.CONFIG
    if not path.is_file():
        raise UserError(
            f"--resume needs the folder of a search; {given.run_folder} has no "
            f"{records.CONFIG}. Leave --resume out to begin one."
        )
    return SearchConfig.from_json(records.read_json(path))


@dataclass(frozen=True)
class _ResumeFlags:
    resume: bool = False
    run_folder: Path | None = None


def _refuse_changes(stored: SearchConfig, config: SearchConfig) -> None:
    before, now = stored.to_json(), config.to_json()
    before["run_folder"] = now["run_folder"]
    changed = [n for n in now if n not in FREE and not _same(n, before[n], now[n])]
    if changed:
        listed = ", ".join(
            f"--{name.replace('_', '-')} was {before[name]!r} and is {now[name]!r}"
            for name in changed
        )
        raise UserError(
            f"a search is resumed with the options it began with; {listed}. Leave them "
            "out, or begin another in a new --run-folder."
        )


def _same(name: str, before: Any, now: Any) -> bool:
    """Whether an option is as it was; a path may be written in another way."""
    if now == before or not (isinstance(now, str) and isinstance(before, str)):
        return now == before
    if name == "architecture":  # the search has a copy
        return records.read_json(Path(now)) == records.read_json(Path(before))
    return name in PATHS and Path(now).expanduser().resolve() == Path(before)


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
