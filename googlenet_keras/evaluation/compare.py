"""Compares finished runs: options that differ, figures and curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from googlenet_keras.errors import UserError
from googlenet_keras.evaluation import plots
from googlenet_keras.evaluation.html import inline_svg, write_page
from googlenet_keras.run_folder import Figures, RunFolder

RUN_SPECIFIC_OPTIONS = ("run_folder", "resume", "architecture")
WIDTHS_OPTION = "widths"  # of every layer, which tell what --architecture does


@dataclass(frozen=True)
class Comparison:
    """Finished runs side by side, by their folders' names, or paths if not unique."""

    results: dict[str, tuple[str, Figures]]  # on the split "test" or else "validation"
    options: dict[str, list[str]]  # that differ: the value of each run
    epochs: dict[str, plots.Epochs]

    def write(self, path: Path) -> None:
        """Writes the comparison as an HTML page. Raises DiskError."""
        title = "Validation cross-entropy and top-1 of each run"
        content = {
            "title": "GoogLeNet runs compared",
            "results": self.results,
            "options": self.options,
            "curves": inline_svg(plots.validation_curves(self.epochs), title),
        }
        write_page("comparison.html.j2", content, path)


def compare(folders: Sequence[RunFolder]) -> Comparison:
    """Compares two or more different, finished runs. Raises UserError for others."""
    if len(folders) < 2:
        raise UserError(f"compare needs at least two runs; received {len(folders)}.")
    if len({folder.path.resolve() for folder in folders}) < len(folders):
        raise UserError("compare needs different runs; one is named twice.")
    names = [folder.path.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    results = {}
    for name, folder in zip(names, folders, strict=True):
        result = folder.read_result()
        split = "test" if result["test"] else "validation"
        results[name] = split, result["test"] or result["validation"]
    texts = [options_as_text(folder.read_config()) for folder in folders]
    options = {
        option: [text.get(option, "-") for text in texts]
        for option in dict.fromkeys(option for text in texts for option in text)
        if option not in RUN_SPECIFIC_OPTIONS
    }
    return Comparison(
        results,
        {option: values for option, values in options.items() if len(set(values)) > 1},
        {n: f.read_epochs() for n, f in zip(names, folders, strict=True)},
    )


def options_as_text(config: Mapping[str, Any]) -> dict[str, str]:
    """The options in config.json as text, with each layer's width as an option."""
    options = {name: value for name, value in config.items() if name != WIDTHS_OPTION}
    widths = {f"width of {n}": w for n, w in config.get(WIDTHS_OPTION, {}).items()}
    return {name: _as_text(value) for name, value in (options | widths).items()}


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        numbers = all(isinstance(x, int | float) for x in value)
        return (" x " if numbers else ", ").join(map(str, value)) or "none"
    return "none" if value is None else str(value)
