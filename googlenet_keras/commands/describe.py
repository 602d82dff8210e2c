"""`describe`: prints Table 1 of the paper for a variant."""

import json
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from googlenet_keras.architecture.description import Description, describe
from googlenet_keras.console import new_table, print_table, print_text
from googlenet_keras.training.options import TrainConfig


@dataclass(frozen=True)
class Describe:
    """Prints Table 1 of a variant: sizes, parameters, multiply-adds, savings."""

    variant: str = "bn"  # Network: bn, paper, torchvision or slim.
    architecture: Path | None = None
    """A file with the network in place of --variant, as `search` writes it."""
    image_size: tuple[int, ...] = (224,)  # Pixels from 32, one or height and width.
    classes: int = 1000  # Number of classes, from 2.
    width: float = 1.0  # Factor on every filter count, rounded to multiples of 8.
    json: bool = False  # Print JSON instead of tables.

    def run(self) -> None:
        arch = TrainConfig(
            variant=self.variant, architecture=self.architecture, width=self.width
        ).to_architecture()
        description = describe(arch, classes=self.classes, image_size=self.image_size)
        if self.json:
            print(json.dumps(description, indent=2))
        else:
            _print(description)


def _print(description: Description) -> None:
    size = "x".join(map(str, description["image_size"]))
    print_text(
        f"{description['variant']} at {size} pixels, {description['classes']:,} classes"
    )
    print_table(_rows_table(description))
    print(
        f"\n{description['parameters']:,} parameters, {description['macs']:,} "
        "multiply-adds\n* with both auxiliary heads, in training only: "
        f"{description['parameters_with_auxiliary']:,} and "
        f"{description['macs_with_auxiliary']:,}"
    )
    print_table(_reductions_table(description))
    pooling = description["average_pooling"]
    print(
        f"\nAverage pooling saves a dense layer of {pooling['map_height']} x "
        f"{pooling['map_width']} x {pooling['channels']} x {pooling['channels']} = "
        f"{pooling['dense_weights_saved']:,} weights.\n\nDifferences from the paper:"
    )
    for difference in description["differences"]:
        print_text(f"  - {difference}")


def _rows_table(description: Description) -> Table:
    numbers = ("parameters", "%", "MMACs", "%")
    table = new_table("row", "output", "filters", numbers=numbers)
    table.padding = 0  # fits 80 columns
    for row in description["rows"]:
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


def _reductions_table(description: Description) -> Table:
    numbers = ("module", "naive", "saved", "5x5 branch", "direct")
    table = new_table("", numbers=numbers, title="\nMMACs that 1x1 layers save")
    for row in description["reductions"]:
        table.add_row(
            row["module"],
            f"{row['macs'] / 1e6:.1f}",
            f"{row['naive_macs'] / 1e6:.1f}",
            f"{1 - row['macs'] / row['naive_macs']:.0%}",
            f"{row['branch_5x5_macs'] / 1e6:.1f}",
            f"{row['branch_5x5_direct_macs'] / 1e6:.1f}",
        )
    return table
