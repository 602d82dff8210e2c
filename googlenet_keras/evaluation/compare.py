"""Runs side by side: options that differ, figures and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from googlenet_keras.errors import UserError
from googlenet_keras.evaluation import pictures, plots
from googlenet_keras.evaluation.pages import write_page
from googlenet_keras.evaluation.tables import print_figures
from googlenet_keras.files import check_output_file, read_json
from googlenet_keras.run_folder import RunFolder

TEMPLATE = "comparison.html.j2"
OWN = ("run_folder", "resume", "architecture")  # of each run, whatever it trains
WIDTHS = "widths"  # of every layer, which tell what --architecture does


def compare(folders: Sequence[Path], page: Path) -> None:
    """Prints what differs between finished runs, and writes one `page` about them.

    Figures are those of the test split, or of validation where a run has none. Raises
    UserError for fewer than two runs and for one without a result.
    """
    if len(folders) < 2:
        raise UserError(f"compare needs at least two runs; received {len(folders)}.")
    check_output_file(page)
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("compare needs different runs; one is named twice.")
    names = _names(folders)
    results = [
        _result(name, folder) for name, folder in zip(names, folders, strict=True)
    ]
    options = differing([read_json(RunFolder(f).config) for f in folders])
    _print_options(options, names)
    print_figures(
        {
            f"{row['run']}, {row['split']}": {
                "images": row["images"], "main": row["main"]
            }
            for row in results
        },
        "run",
    )  # fmt: skip
    lines = {
        name: RunFolder(folder).read_epochs()
        for name, folder in zip(names, folders, strict=True)
    }
    content = {
        "title": "GoogLeNet runs compared",
        "names": names,
        "results": results,
        "options": options,
        "curves": pictures.drawing(
            plots.compared(lines), "Validation cross-entropy and top-1 of each run"
        ),
    }
    write_page(TEMPLATE, content, page)
    print(f"the comparison is {page}")


def differing(configs: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """The values, one for each run, of the options that are not the same in all."""
    shown = [shown_options(config) for config in configs]
    keys = dict.fromkeys(key for options in shown for key in options if key not in OWN)
    rows = {key: [options.get(key, "-") for options in shown] for key in keys}
    return {key: row for key, row in rows.items() if len(set(row)) > 1}


def shown_options(config: Mapping[str, Any]) -> dict[str, str]:
    """The options in config.json in words, each layer's width as one of them."""
    plain = {key: value for key, value in config.items() if key != WIDTHS}
    widths = {f"width of {n}": w for n, w in config.get(WIDTHS, {}).items()}
    return {key: _shown(value) for key, value in (plain | widths).items()}


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return " x ".join(map(str, value))
    return "none" if value is None else str(value)


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' last parts, or their paths where those are not unique."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(f) for f in folders]


def _result(name: str, folder: Path) -> dict[str, Any]:
    result = RunFolder.open(folder).read_result()
    split = "test" if result["test"] else "validation"
    figures = result[split]
    return {
        "run": name,
        "split": split,
        "images": figures["images"],
        "main": figures["main"],
    }


def _print_options(options: dict[str, list[str]], names: Sequence[str]) -> None:
    table = Table("option", *(escape(name) for name in names))
    for key, values in options.items():
        table.add_row(key, *(escape(value) for value in values))
    Console().print(table)
