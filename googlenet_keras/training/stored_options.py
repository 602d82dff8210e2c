"""The options in the config.json of a run or a search that is resumed."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.options import UNSET_VALUES, read_architecture

# the weights do not depend on them
CHANGEABLE_OPTIONS = ("run_folder", "resume", "checkpoint_minutes", "download")
RELOCATABLE_PATH_OPTIONS = ("dataset", "data_dir", "weights")


class Options(Protocol):
    """Named options, such as a TrainConfig, that config.json stores."""

    def to_json(self) -> dict[str, Any]:
        """Plain values by option name."""
        ...

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Builds the options from the output of `to_json`."""
        ...


Config = TypeVar("Config", bound=Options)


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
        options["architecture"] = str(RunFolder(folder.path.resolve()).architecture)
    return kind.from_json(options | {"run_folder": str(folder)})


def update_stored_options(
    stored: Config, given: Config, changeable: Collection[str] = CHANGEABLE_OPTIONS
) -> Config:
    """The `stored` options with the `changeable` ones of `given`.

    An option that was left open in `given` is the stored one. Raises UserError if
    another one differs.
    """
    old, new = stored.to_json(), given.to_json()
    changed = [n for n in new if n not in changeable and not _same(n, old[n], new[n])]
    if changed:
        listed = ", ".join(
            f"--{name.replace('_', '-')} was {old[name]!r} and is {new[name]!r}"
            for name in changed
        )
        raise UserError(
            f"--resume keeps the options that the run started with; {listed}. Leave "
            "them out, or start another run in a new --run-folder."
        )
    return stored.from_json(old | {name: new[name] for name in changeable})


def _same(name: str, old: Any, new: Any) -> bool:
    """Whether an option is unchanged; a path may be written in another way."""
    if new == old or new in UNSET_VALUES:
        return True
    if not (isinstance(new, str) and isinstance(old, str)):
        return False
    if name == "architecture":  # there may be a copy
        return read_architecture(Path(new)) == read_architecture(Path(old))
    return name in RELOCATABLE_PATH_OPTIONS and expand_user(new).resolve() == Path(old)
