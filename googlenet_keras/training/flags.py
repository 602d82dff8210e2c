"""Command-line flags of a training run, and the options that a resumed run stored."""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Protocol, Self, TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec

from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.defaults import UNSET_VALUES, unset_by
from googlenet_keras.training.option_checks import check_resume
from googlenet_keras.training.options import TrainConfig, read_architecture
from googlenet_keras.training.recipes import MODERN, recipe

# the weights do not depend on them
CHANGEABLE_OPTIONS = ("run_folder", "resume", "checkpoint_minutes", "download")
RELOCATABLE_PATH_OPTIONS = (
    *("dataset", "data_dir", "weights", "none", "teacher"),
    "propose_from",  # of a search
)
TEACHER_EXAMPLE = "every run: --teacher RUN RUN"
IMAGE_SIZES_EXAMPLE = "every size: --image-sizes 80:24 96:14"
PLAIN_NUMBERS = ConstructorRegistry()  # for tyro.cli


class Options(Protocol):
    """Named options, such as a TrainConfig, that config.json stores."""

    def to_json(self) -> dict[str, Any]: ...

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self: ...


Config = TypeVar("Config", bound=Options)
Flags = TypeVar("Flags")


@dataclass(frozen=True)
class DefaultFlags:
    """The flags that decide the defaults of all other flags."""

    recipe: Annotated[str, tyro.conf.arg(help="")] = MODERN.recipe
    resume: bool = False
    run_folder: Path | None = None
    image_sizes: tuple[str, ...] = ()
    minutes: float = 0.0


@PLAIN_NUMBERS.primitive_rule
def _plain_number(info: Any) -> PrimitiveConstructorSpec | None:
    """Reads a number of the digits 0 to 9; Python takes other scripts' and 1_0, too."""
    kind = info.type
    if kind not in (int, float):
        return None

    def read(texts: list[str]) -> Any:
        if not texts[0].isascii() or "_" in texts[0]:
            raise ValueError(f"a number has the digits 0 to 9; received {texts[0]!r}")
        return kind(texts[0])

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=kind.__name__.upper(),
        instance_from_str=read,
        is_instance=lambda value: type(value) in (int, kind),
        str_from_instance=lambda value: [str(value)],
    )


def parse_flags(
    kind: type[Flags], arguments: Sequence[str] | None = None, **options: Any
) -> Flags:
    """Reads a `kind` from `arguments`, or sys.argv, with `options` of tyro.cli.

    Raises UserError for an empty argument, such as that of a shell's unset variable.
    """
    for text in sys.argv[1:] if arguments is None else arguments:
        if not text or (text.startswith("--") and text.endswith("=")):
            raise UserError(
                f"an argument must not be empty; received {text!r}. Leave the flag out "
                "to have its default; in a shell, is a variable unset?"
            )
    return tyro.cli(kind, args=arguments, registry=PLAIN_NUMBERS, **options)


def check_list_flag(
    flag: str, has: str, arguments: Sequence[str] | None = None
) -> None:
    """Raises UserError if a flag of several values has none, or is there twice.

    has: what it has instead, with an example. arguments: None for those of sys.argv.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    flags = [text.partition("=")[0] for text in arguments]
    pairs = pairwise([*arguments, "--"])
    is_empty = any(x == flag and after.startswith("--") for x, after in pairs)
    if is_empty or flags.count(flag) > 1:
        raise UserError(
            f"{flag} is given once and has {has}; received {' '.join(arguments)}."
        )


def read_flags(
    arguments: Sequence[str] | None = None, prog: str | None = None
) -> TrainConfig:
    """Reads the options in `arguments`, or in sys.argv; the others are the recipe's.

    With --resume the others are those of the run in --run-folder, if there is one.
    Raises UserError for a value out of range, and for one that differs from that run's;
    exits with status 2 for an unknown flag.
    """
    check_list_flag("--teacher", TEACHER_EXAMPLE, arguments)
    check_list_flag("--image-sizes", IMAGE_SIZES_EXAMPLE, arguments)
    flags = read_default_flags(arguments)
    default = read_defaults(TrainConfig, flags, recipe)
    config = parse_flags(
        TrainConfig,
        arguments,
        default=replace(default, **unset_by(vars(flags))),
        prog=prog,
        description="Trains GoogLeNet and leaves a run folder behind.",
    )
    return resume_options(TrainConfig, config)


def read_defaults(
    kind: type[Config],
    flags: DefaultFlags,
    from_recipe: Callable[[str], Config],
    must_exist: bool = False,
) -> Config:
    """The options of the run to resume, or else of the recipe, as `flags` say.

    must_exist: whether --resume requires that something has started in --run-folder.
    Raises UserError for --resume without a folder, and for an unknown recipe.
    """
    check_resume(flags.resume, flags.run_folder)
    folder = RunFolder(flags.run_folder or "")
    if flags.resume and folder.is_started:
        return read_stored_options(kind, folder)
    if flags.resume and must_exist:
        raise UserError(
            f"--resume requires a folder with {folder.config.name}, and {folder} has "
            "none. Leave --resume out to start."
        )
    return from_recipe(flags.recipe)


def read_default_flags(arguments: Sequence[str] | None = None) -> DefaultFlags:
    """Reads the flags that decide the defaults; ignores all others."""
    flags, _ = tyro.cli(
        DefaultFlags, args=arguments, return_unknown_args=True, add_help=False
    )
    return flags


def resume_options(
    kind: type[Config], given: Config, changeable: Collection[str] = CHANGEABLE_OPTIONS
) -> Config:
    """The stored options of the run to resume, with the `changeable` ones from `given`.

    That is `given` itself if it does not resume, or nothing has started in its folder.
    Raises UserError if another option that is not left open differs.
    """
    new = given.to_json()
    if not (new["resume"] and RunFolder(new["run_folder"]).is_started):
        return given
    old = read_stored_options(kind, RunFolder(new["run_folder"])).to_json()
    left_open = {*changeable}
    has_own_network = new["weights"] or new["architecture"]
    if has_own_network and new["variant"] == TrainConfig.variant:
        left_open.add("variant")  # the network decides it
    changed = [n for n in new if n not in left_open and not _same(n, old[n], new[n])]
    if changed:
        listed = ", ".join(
            f"--{name.replace('_', '-')} was {old[name]!r} and is {new[name]!r}"
            for name in changed
        )
        raise UserError(
            f"--resume keeps the options that the run started with; {listed}. Leave "
            "them out, or start another run in a new --run-folder."
        )
    return kind.from_json(old | {name: new[name] for name in changeable})


def read_stored_options(kind: type[Config], folder: RunFolder) -> Config:
    """Reads the options in config.json, even if the folder has been moved.

    Raises UserError if they are not those of a `kind`.
    """
    options = folder.read_config()
    if unknown := sorted(options.keys() - kind().to_json().keys() - {"widths"}):
        raise UserError(
            f"{folder} was written by another program or version: its config.json "
            f"has {', '.join(unknown)}. Give a folder that this one has written."
        )
    if folder.architecture.is_file():
        options["architecture"] = str(folder.architecture.resolve())
    return kind.from_json(options | {"run_folder": str(folder)})


def _same(name: str, old: Any, new: Any) -> bool:
    """Whether an option is unchanged; a path may be written in another way."""
    if new == old or new in UNSET_VALUES:
        return True
    if isinstance(new, tuple) and isinstance(old, tuple):
        pairs = zip(old, new, strict=False)
        return len(old) == len(new) and all(_same(name, *pair) for pair in pairs)
    if not (isinstance(new, str) and isinstance(old, str)):
        return False
    if name == "architecture":  # there may be a copy
        return read_architecture(Path(new)) == read_architecture(Path(old))
    return name in RELOCATABLE_PATH_OPTIONS and expand_user(new).resolve() == Path(old)
