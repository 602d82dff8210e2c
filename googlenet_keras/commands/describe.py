"""`describe`: Table 1 as a variant has it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.description import describe
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.training.options import read_architecture

BARE = {"box": None, "pad_edge": False, "padding": (0, 1, 0, 0)}  # fits 80 columns


@dataclass(frozen=True)
class Describe:
    """Prints Table 1 as a variant has it: sizes, parameters, multiply-adds, savings."""

    variant: str = "bn"
    """Network: bn, paper, torchvision or slim."""
    architecture: Path | None = None
    """A file with the network in place of --variant, as tuning.search writes it."""
    image_size: tuple[int, ...] = (224,)
    """Input size in pixels, one number or height and width, from 32."""
    classes: int = 1000
    """Number of classes, from 2."""
    width: float = 1.0
    """Factor on every filter count, rounded to multiples of 8."""
    json: bool = False
    """Print JSON in place of tables."""

    def run(self) -> None:
        """Prints it. Raises UserError for an unknown variant or a size out of range."""
        chosen = (
            Architecture.from_json(read_architecture(self.architecture))
            if self.architecture
            else get_architecture(self.variant)
        )
        found = describe(
            chosen.scale_width(self.width),
            classes=self.classes,
            image_size=self.image_size,
        )
        if self.json:
            print(json.dumps(found, indent=2))
        else:
            _print(found)


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    size = "x".join(map(str, found["image_size"]))
    console.print(f"[bold]{found['variant']}[/] at {size} pixels, "
                  f"{found['classes']:,} classes")  # fmt: skip
    console.print(_rows_table(found))
    console.print(
        f"\n[bold]{found['parameters']:,} parameters, {found['macs']:,} "
        f"multiply-adds[/]\n* with both auxiliary heads, in training only: "
        f"{found['parameters_with_auxiliary']:,} and {found['macs_with_auxiliary']:,}"
    )
    console.print(_reductions_table(found))
    pooled = found["average_pooling"]
    console.print(
        f"Average pooling saves a dense layer of {pooled['map_height']} x "
        f"{pooled['map_width']} x {pooled['channels']} x {pooled['channels']} = "
        f"{pooled['dense_weights_saved']:,} weights."
    )
    console.print("\nDifferences from the paper:")
    for difference in found["differences"]:
        console.print(f"  - {difference}", markup=False)


def _rows_table(found: dict[str, Any]):
    from rich.table import Table

    table = Table("row", "output", "filters", **BARE)
    for title in ("parameters", "%", "MMACs", "%"):
        table.add_column(title, justify="right")
    for row in found["rows"]:
        table.add_row(
            row["name"] + (" *" if row["auxiliary"] else ""),
            "x".join(map(str, row["output"])),
            ",".join(map(str, row["filters"].values())),
            f"{row['parameters']:,}",
            f"{100 * row['parameters_share']:.1f}",
            f"{row['macs'] / 1e6:.1f}",
            f"{100 * row['macs_share']:.1f}",
            style="dim" if row["auxiliary"] else None,
        )
    return table


def _reductions_table(found: dict[str, Any]):
    from rich.table import Table

    title = "\nMMACs that 1x1 layers save"
    table = Table("", title=title, title_justify="left", **BARE)
    columns = ("module", "naive", "saved", "5x5 branch", "direct")
    for column in columns:
        table.add_column(column, justify="right")
    for row in found["reductions"]:
        table.add_row(
            row["module"],
            f"{row['macs'] / 1e6:.1f}",
            f"{row['naive_macs'] / 1e6:.1f}",
            f"{1 - row['macs'] / row['naive_macs']:.0%}",
            f"{row['branch_5x5_macs'] / 1e6:.1f}",
            f"{row['branch_5x5_direct_macs'] / 1e6:.1f}",
        )
    return table
