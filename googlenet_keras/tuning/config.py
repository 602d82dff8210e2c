"""Options of a width search and their command line."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tyro
from msgspec import Meta

from googlenet_keras.architecture.table1 import AUXILIARY_HEADS
from googlenet_keras.errors import UserError
from googlenet_keras.training.flags import (
    TEACHER_EXAMPLE,
    check_list_flag,
    parse_flags,
    read_default_flags,
    read_defaults,
    resume_options,
)
from googlenet_keras.training.option_checks import (
    check_options,
    check_resume,
    plain_value,
    read_options,
)
from googlenet_keras.training.options import Amount, Count, Factor, TrainConfig, Width
from googlenet_keras.training.recipes import recipe

CHANGEABLE_OPTIONS = (  # when a search is resumed
    *("run_folder", "resume", "workers", "trials", "baselines", "finalists", "rounds"),
    *("minutes", "retrain", "retrain_epochs", "checkpoint_minutes"),
)
COUNT_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
COUNT_PATTERN = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kMG]?)")
LIMIT_OPTIONS = {  # by what they limit
    name: f"max_{name}" for name in ("macs", "parameters", "megabytes", "milliseconds")
}
MIN_ROUNDS = 3  # of the race; from fewer nobody knows what the seeds do
MAX_COUNT = 1e15  # of multiply-adds or parameters


@dataclass(frozen=True)
class _TrainingFlags(TrainConfig):
    """The training flags, without those that have another meaning in a search."""

    epochs: tyro.conf.Suppress[tyro.conf.Fixed[int | None]] = None
    image_sizes: tyro.conf.Suppress[tyro.conf.Fixed[tuple[str, ...]]] = ()
    grow: tyro.conf.Suppress[tyro.conf.Fixed[Literal["auto", "on", "off"]]] = "off"
    minutes: tyro.conf.Suppress[tyro.conf.Fixed[float]] = 0.0
    patience: tyro.conf.Suppress[tyro.conf.Fixed[int]] = 0
    layer_decay: tyro.conf.Suppress[tyro.conf.Fixed[float]] = 1.0
    folds: tyro.conf.Suppress[tyro.conf.Fixed[int]] = 0
    fold: tyro.conf.Suppress[tyro.conf.Fixed[int]] = 0
    fold_seed: tyro.conf.Suppress[tyro.conf.Fixed[int | None]] = None
    run_folder: tyro.conf.Suppress[tyro.conf.Fixed[Path | None]] = None
    resume: tyro.conf.Suppress[tyro.conf.Fixed[bool]] = False


@dataclass(frozen=True)
class SearchConfig:
    """Options of one search. Raises UserError if a value breaks its rule.

    training: how the best network is trained in full. A trial differs from it in its
    network, its epochs and its folder.
    """

    training: Annotated[
        TrainConfig, tyro.conf.arg(name="", constructor=_TrainingFlags)
    ] = field(default_factory=TrainConfig)

    run_folder: Path | None = None
    """Where everything goes; none: runs/search-<dataset>-<time>."""
    resume: bool = False
    """Resume the search in --run-folder."""

    max_macs: tuple[str, ...] = ()
    """Most multiply-adds of an image, such as 300M; several: a search for each."""
    max_parameters: tuple[str, ...] = ()
    """Most parameters without auxiliary heads, such as 2M; several as above."""
    max_megabytes: tuple[Factor, ...] = ()
    """Largest int8.tflite (10**6 bytes); several as above."""
    max_milliseconds: tuple[Factor, ...] = ()
    """Longest time of int8.tflite on one thread of this machine; several as above."""

    tuner: Literal["hyperband", "bayesian", "random"] = "hyperband"
    """The method of keras-tuner that proposes widths."""
    propose_from: Path | None = None
    """Trained network whose channels propose the first widths, best of full width."""
    trials: Count = 12
    """Number of trainings, baselines not counted; with --minutes the most."""
    minutes: Amount = 0.0
    """End within this time, with fewer trials and finalists if need be; 0: off."""
    epochs: Count | None = None
    """Epochs of the longest trial; none: half of a full training's."""
    level: Literal["coarse", "fine"] = "coarse"
    """Search a width factor for each stage, or a width for each convolution."""
    tune: tuple[Literal["dropout", "learning_rate", "variant", "heads"], ...] = ()
    """Hyperparameters to search besides the widths."""
    baselines: tuple[Width, ...] = (0.25, 1.0)
    """--width multiples trained for comparison, beside the one of the budget's size."""
    finalists: Annotated[int, Meta(ge=0, le=100)] = 3
    """Best trials that race against the network of even width; 0: no race."""
    rounds: Annotated[int, Meta(ge=MIN_ROUNDS, le=100)] = MIN_ROUNDS
    """Trainings of each network of the race, with other seeds and images, from 3."""

    workers: Annotated[int, Meta(ge=0, le=1024)] = 0
    """Processes on this machine that train trials at the same time; 0: this one."""
    retrain: bool = False
    """After the search, train the best network in full and export it."""
    retrain_epochs: Count | None = None
    """Epochs of that training; none: the recipe's, or those of the longest trial."""

    def __post_init__(self) -> None:
        check_options(self)
        check_resume(self.resume, self.run_folder)
        self.split()  # raises
        if self.training.weights:
            raise UserError(
                "a width search cannot start from weights, whose widths are fixed; "
                "leave out --weights and recipes that set it, such as finetune."
            )
        if self.training.image_sizes or self.training.grow == "on":
            raise UserError(
                "a width search trains at one image size, and its trials have epochs "
                "of their own; leave out image_sizes and grow, and train the best "
                "network with them afterwards."
            )
        for name in ("minutes", "patience", "folds"):
            if value := getattr(self.training, name):
                raise UserError(
                    "a width search compares trainings of the same epochs on the same "
                    f"images; leave out {name}={value:g}."
                )
        if self.propose_from and not self.limits():
            raise UserError(
                "--propose-from cuts a trained network to the budget, and there is no "
                "limit. Add one, such as --max-macs 100M."
            )
        arch = self.training.to_architecture()
        for width in self.baselines:
            arch.scale_width(width)
        if len(set(self.tune)) < len(self.tune):
            raise UserError(f"tune must not repeat a name; received {self.tune}.")
        file = self.training.architecture
        if "variant" in self.tune and (file or not arch.batch_norm):
            raise UserError(
                "--tune variant starts from a variant with batch normalization; "
                f"received {file or arch.name}. Leave one of them out."
            )
        if "heads" in self.tune and len(arch.heads) < len(AUXILIARY_HEADS):
            raise UserError(
                "--tune heads needs a network with both auxiliary heads; received "
                f"{len(arch.heads)}. Leave it out."
            )
        if "heads" in self.tune and self.training.self_distillation:
            raise UserError(
                "--tune heads also tries networks without auxiliary heads, which "
                "--self-distillation needs. Leave one of them out."
            )

    def limits(self) -> dict[str, float]:
        """The limits of the only budget, by what they limit."""
        (limits,) = self._budgets()
        return limits

    def _budgets(self) -> list[dict[str, float]]:
        """The limits of each budget. Raises UserError."""
        limits = self._limits()
        count = max(map(len, limits.values()), default=1)
        budgets = [
            {name: values[k % len(values)] for name, values in limits.items()}
            for k in range(count)
        ]
        is_even = all(len(values) in (1, count) for values in limits.values())
        if is_even and all(budgets.count(x) == 1 for x in budgets):
            return budgets
        listed = ", ".join(f"{n}={getattr(self, n)}" for n in LIMIT_OPTIONS.values())
        raise UserError(
            "several budgets differ, and each limit has one value for all of them or "
            "as many as the others, the first with the first and so on; received "
            f"{listed}."
        )

    def _limits(self) -> dict[str, list[float]]:
        counts = {
            name: [_parse_count(f"max_{name}", text) for text in texts]
            for name, texts in (
                ("macs", self.max_macs),
                ("parameters", self.max_parameters),
            )
        }
        limits = counts | {
            "megabytes": list(self.max_megabytes),
            "milliseconds": list(self.max_milliseconds),
        }
        return {name: values for name, values in limits.items() if values}

    def split(self) -> dict[str, Self]:
        """The options of each budget's search, by its name, such as "macs-100M".

        The --baselines, which no budget changes, are the first one's alone. With one
        budget the name is empty and the options are these.
        """
        budgets = range(len(self._budgets()))
        given = {name: getattr(self, option) for name, option in LIMIT_OPTIONS.items()}
        several = {name: values for name, values in given.items() if len(values) > 1}
        searches: dict[str, Self] = {}
        for number in budgets:
            own = {name: values[number] for name, values in several.items()}
            options: dict[str, Any] = {LIMIT_OPTIONS[n]: (x,) for n, x in own.items()}
            if number:
                options["baselines"] = ()
            name = "-".join(f"{n}-{_text(x)}" for n, x in own.items())
            searches[name] = dataclasses.replace(self, **options) if own else self
        return searches

    def to_json(self) -> dict[str, Any]:
        """Plain values by option name, including the training options."""
        own = dataclasses.asdict(self)
        data = own.pop("training") | own
        return {name: plain_value(value) for name, value in data.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Builds the options from the output of `to_json`. Raises UserError."""
        own = {field.name for field in dataclasses.fields(cls)}
        # an older version had one limit of a kind, and "" or null for none
        limits = {x: data[x] or () for x in LIMIT_OPTIONS.values() if x in data}
        training = TrainConfig.from_json(
            {k: v for k, v in data.items() if k not in own}
        )
        return read_options(cls, {**data, **limits, "training": training})


def read_search_flags(
    arguments: Sequence[str] | None = None, prog: str | None = None
) -> SearchConfig:
    """Reads the options in `arguments`, or in sys.argv.

    With --resume they are those of the search in --run-folder. Raises UserError if one
    that is given differs from them.
    """
    check_list_flag("--tune", "every name: --tune dropout heads", arguments)
    check_list_flag("--teacher", TEACHER_EXAMPLE, arguments)
    for option in LIMIT_OPTIONS.values():
        flag = "--" + option.replace("_", "-")
        check_list_flag(flag, f"the limit of every budget: {flag} 4 2", arguments)
    config = parse_flags(
        SearchConfig,
        arguments,
        default=read_defaults(
            SearchConfig,
            read_default_flags(arguments),
            lambda name: SearchConfig(recipe(name)),
            must_exist=True,
        ),
        prog=prog,
        description="Searches the filter widths that suit a budget best.",
    )
    training = TrainConfig(**vars(config.training))
    config = dataclasses.replace(config, training=training)
    return resume_options(SearchConfig, config, CHANGEABLE_OPTIONS)


def _text(limit: str | float) -> str:
    return limit if isinstance(limit, str) else f"{limit:.15g}"


def _parse_count(name: str, text: str) -> float:
    match = COUNT_PATTERN.fullmatch(text)
    value = float(match[1]) * COUNT_SUFFIXES[match[2]] if match else 0
    if not 0 < value <= MAX_COUNT:
        raise UserError(
            f"{name} is a number above 0 and at most {MAX_COUNT:g}, such as 2000, "
            f"200k, 300M or 1.5G; received {text!r:.200}."
        )
    return value
