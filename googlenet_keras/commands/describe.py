"""`describe`: prints a variant's Table 1, or compares it with the paper's."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from tyro.conf import Positional

from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.description import Description, describe
from googlenet_keras.architecture.paper import (
    SOURCES,
    TABLE_1_COLUMNS,
    Comparison,
    compare_with_paper,
    network_costs,
)
from googlenet_keras.console import new_table, print_table, print_text
from googlenet_keras.errors import UserError
from googlenet_keras.files import check_output_files, read_json, write_json
from googlenet_keras.installation import command_line
from googlenet_keras.training.options import TrainConfig

if TYPE_CHECKING:  # TensorFlow would slow down what needs none
    from googlenet_keras.commands.describe_channels import ChannelDescription

SHORT_COLUMNS = {column: column for column in TABLE_1_COLUMNS} | {
    "3x3 reduce": "3x3r",
    "5x5 reduce": "5x5r",
    "pool proj": "proj",
    "parameters": "params",
    "operations": "ops",
}


@dataclass(frozen=True)
class Describe:
    """Prints Table 1 of a variant or run: sizes, parameters, multiply-adds, savings."""

    run_folder: Positional[Path | None] = None
    """A run or saved classifier to describe in place of a variant."""
    channels: bool = False
    """Of a run: what its channels are worth, by its weights and validation images."""
    variant: str = "bn"  # Network: bn, paper, torchvision or slim.
    architecture: Path | None = None
    """A file with the network in place of --variant, as `search` writes it."""
    module: str | None = None
    """naive: Inception modules without 1x1 reductions and projections."""
    head: str | None = None
    """dense: a hidden dense layer in place of global average pooling."""
    image_size: tuple[int, ...] = (224,)  # Pixels from 32, one or height and width.
    classes: int = 1000  # Number of classes, from 2.
    width: float = 1.0  # Factor on every filter count, rounded to multiples of 8.
    paper: bool = False
    """Compare the numbers that the paper prints with the computed ones instead."""
    json: bool = False  # Print JSON instead of tables.
    save: Path | None = None
    """File to write or replace with the network, for `train --architecture`."""
    pictures: Path | None = None
    """Folder for pictures of a module and of each row's costs, without reductions and
    with them."""

    def run(self) -> None:
        if self.paper:
            self._compare()
            return
        if self.run_folder:
            self._of_run(self.run_folder)._describe(self._channels(self.run_folder))
            return
        if self.channels:
            raise UserError("--channels are those of a run: describe RUN --channels.")
        self._describe()

    def _describe(self, channels: Sequence[ChannelDescription] = ()) -> None:
        """Describes the network; channels: of a run, what they are worth."""
        base, arch = self._networks()
        describe_task = partial(
            describe, classes=self.classes, image_size=self.image_size
        )
        description = describe_task(arch)
        if self.save:
            check_output_files(self.save)
            write_json(self.save, arch.to_json())
        if self.pictures:
            from googlenet_keras.commands.describe_pictures import draw_pictures

            draw_pictures(arch, self.classes, self.image_size, self.pictures)
        if self.json:
            more = {"channels": channels} if channels else {}
            print(json.dumps({**description, **more}, indent=2))
        else:
            _print(description, describe_task(base))
            if channels:
                from googlenet_keras.commands.describe_channels import print_channels

                print_channels(channels)
            if self.save:
                print_text(
                    f"\nthe network is {self.save}; train it with\n"
                    f"  {command_line('train')} --architecture "
                    f"{shlex.quote(str(self.save))}"
                )

    def _of_run(self, folder: Path) -> Describe:
        """This description, of the network in a run or a saved classifier."""
        from googlenet_keras.classifier import Description, description_file
        from googlenet_keras.data.preprocessing import Preprocessing

        output = ("json", "save", "pictures", "channels")
        if self != Describe(folder, **{name: getattr(self, name) for name in output}):
            raise UserError(
                "a run comes with its network, image size and classes; beside it "
                "--channels, --json, --save and --pictures can be given."
            )
        file = description_file(folder)
        stored: Description = read_json(file, Description)
        return replace(
            self,
            architecture=file,
            image_size=Preprocessing.from_json(stored["preprocessing"]).size,
            classes=len(stored["labels"]) + stored.get("none_output", False),
        )

    def _channels(self, folder: Path) -> Sequence[ChannelDescription]:
        """Describes a run's channels if --channels asks for it."""
        if not self.channels:
            return ()
        from googlenet_keras.commands.describe_channels import describe_channels

        return describe_channels(folder)

    def _networks(self) -> tuple[Architecture, Architecture]:
        """The network as designed, and without what --module and --head take away."""
        config = TrainConfig(variant=self.variant, architecture=self.architecture)
        base = config.to_architecture()
        arch = ablate(base, module=self.module, head=self.head)
        return base.scale_width(self.width), arch.scale_width(self.width)

    def _compare(self) -> None:
        if replace(self, json=False) != Describe(paper=True):
            raise UserError(
                "--paper compares the paper's own network at 224 pixels; it can be "
                "combined with --json only."
            )
        comparisons = compare_with_paper()
        if self.json:
            numbers = [vars(x) | {"matches": x.matches} for x in comparisons]
            content = {"numbers": numbers, "costs": network_costs(), "sources": SOURCES}
            print(json.dumps(content, indent=2))
        else:
            _print_comparisons(comparisons)


def _print(description: Description, base: Description) -> None:
    """Prints the tables; `base` is the network before any ablation."""
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
    if description != base:
        print_text(
            f"{description['parameters'] / base['parameters']:.1f} times the parameters"
            f" and {description['macs'] / base['macs']:.1f} times the multiply-adds of "
            f"{base['variant']}"
        )
    if any(row["macs"] < row["naive_macs"] for row in description["reductions"]):
        print_table(_reductions_table(description))
    pooling = description["average_pooling"]
    if saved := pooling["dense_weights_saved"]:
        print(
            f"\nAverage pooling saves a dense layer of {pooling['map_height']} x "
            f"{pooling['map_width']} x {pooling['channels']} x {pooling['channels']} = "
            f"{saved:,} weights."
        )
    print("\nDifferences from the paper:")
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


def _print_comparisons(comparisons: Sequence[Comparison]) -> None:
    explanations = dict.fromkeys(x.explanation for x in comparisons if x.explanation)
    notes = {text: str(number) for number, text in enumerate(explanations, start=1)}
    print(
        "Table 1 as printed; a dim line below a row shows computed values that differ"
    )
    print_table(_printed_rows_table(comparisons, notes))
    table = new_table("", "source", numbers=("printed", "computed", ""))
    table.padding = 0  # fits 80 columns
    for x in comparisons:
        if not x.row:
            note = notes.get(x.explanation, "")
            table.add_row(x.quantity, x.source, x.printed, x.shown, note)
    print()
    print_table(table)
    costs = new_table("", numbers=("parameters", "multiply-adds"))
    for name, cost in network_costs().items():
        costs.add_row(name, f"{cost['parameters']:,}", f"{cost['macs']:,}")
    print("\nCosts of the ablations and of AlexNet, computed")
    print_table(costs)
    print("\nSources")
    for name, source in SOURCES.items():
        print_text(f"  {name}: {source}")
    print("\nWhy numbers differ")
    for text, number in notes.items():
        print_text(f"{number:>3} {text}")


def _printed_rows_table(
    comparisons: Sequence[Comparison], notes: Mapping[str, str]
) -> Table:
    table = new_table("", numbers=(*SHORT_COLUMNS.values(), ""))
    table.padding = 0  # fits 80 columns
    for row in dict.fromkeys(x.row for x in comparisons if x.row):
        cells = {x.quantity: x for x in comparisons if x.row == row}
        printed, computed = (
            [getattr(cells[x], part) if x in cells else "" for x in SHORT_COLUMNS]
            for part in ("printed", "shown")
        )
        table.add_row(row.removeprefix("inception_"), *printed)
        if computed != printed:
            found = dict.fromkeys(notes.get(x.explanation) for x in cells.values())
            table.add_row("", *computed, ",".join(filter(None, found)), style="dim")
    return table
