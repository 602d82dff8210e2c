"""Compares finished runs: options that differ, figures and curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from googlenet_keras.errors import UserError
from googlenet_keras.evaluation import plots
from googlenet_keras.evaluation.html import inline_svg, write_page
from googlenet_keras.run_folder import HeadFigures, RunFolder

COMPARISON_TEMPLATE = "comparison.html.j2"
RUN_SPECIFIC_OPTIONS = ("run_folder", "resume", "architecture")
WIDTHS_OPTION = "widths"  # of every layer, which tell what --architecture does


class ComparedRun(TypedDict):
    """The main head's final metrics of one run, on test or else on validation."""

    run: str
    split: str
    images: int
    main: HeadFigures


@dataclass(frozen=True)
class Comparison:
    """Finished runs side by side.

    options: the values, one per run, of the options that differ. epochs: the lines of
    metrics.jsonl by the run's name.
    """

    runs: list[ComparedRun]
    options: dict[str, list[str]]
    epochs: dict[str, plots.Epochs]

    @property
    def names(self) -> list[str]:
        """The runs' names: their folders', or their paths if those are not unique."""
        return list(self.epochs)

    def write(self, path: Path) -> None:
        """Writes the comparison as an HTML page. Raises DiskError."""
        title = "Validation cross-entropy and top-1 of each run"
        content = {
            "title": "GoogLeNet runs compared",
            "names": self.names,
            "results": self.runs,
            "options": self.options,
            "curves": inline_svg(plots.validation_curves(self.epochs), title),
        }
        write_page(COMPARISON_TEMPLATE, content, path)


def compare(folders: Sequence[RunFolder]) -> Comparison:
    """Compares finished runs.

    Raises UserError for fewer than two runs, a run that is named twice, and one that is
    not finished.
    """
    if len(folders) < 2:
        raise UserError(f"compare needs at least two runs; received {len(folders)}.")
    if len({folder.path.resolve() for folder in folders}) < len(folders):
        raise UserError("compare needs different runs; one is named twice.")
    names = [folder.path.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    named = dict(zip(names, folders, strict=True))
    return Comparison(
        [_compared_run(name, folder) for name, folder in named.items()],
        differing_options([folder.read_config() for folder in folders]),
        {name: folder.read_epochs() for name, folder in named.items()},
    )


def _compared_run(name: str, folder: RunFolder) -> ComparedRun:
    result = folder.read_result()
    split, figures = "test", result["test"]
    if figures is None:
        split, figures = "validation", result["validation"]
    return {
        "run": name,
        "split": split,
        "images": figures["images"],
        "main": figures["main"],
    }


def differing_options(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The values, one per run, of the options that are not the same in all runs."""
    texts = [options_as_text(config) for config in configs]
    names = dict.fromkeys(name for options in texts for name in options)
    rows = {name: [options.get(name, "-") for options in texts] for name in names}
    return {
        name: values
        for name, values in rows.items()
        if len(set(values)) > 1 and name not in RUN_SPECIFIC_OPTIONS
    }


def options_as_text(config: Mapping[str, Any]) -> dict[str, str]:
    """The options in config.json as text, with each layer's width as an option."""
    options = {name: value for name, value in config.items() if name != WIDTHS_OPTION}
    widths = {f"width of {n}": w for n, w in config.get(WIDTHS_OPTION, {}).items()}
    return {name: _as_text(value) for name, value in (options | widths).items()}


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return " x ".join(map(str, value))
    return "none" if value is None else str(value)
