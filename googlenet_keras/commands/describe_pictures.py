"""The pictures of `describe --pictures`: a module, and what each row costs."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from googlenet_keras.architecture.ablations import ablate, without_reductions
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.arithmetic import (
    ImageSize,
    Stage,
    iterate_stages,
    row_stage,
)
from googlenet_keras.architecture.table1 import Conv, Inception
from googlenet_keras.errors import UserError
from googlenet_keras.files import atomic_file

MODULE_FILE, COSTS_FILE = "inception-module.svg", "reduction-costs.svg"
EXAMPLE_MODULE = "inception_4a"  # whose 5x5 branch reviews work out
COSTS = (  # property of a Stage, unit, title
    ("parameters", 10**6, "million parameters"),
    ("macs", 10**9, "billion multiply-adds for an image"),
)
SVG_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "googlenet", "font.size": 9}
BOX = {"boxstyle": "round,pad=0.4", "facecolor": "#e8eef7", "edgecolor": "#35507a"}
ARROW = {"arrowstyle": "->", "color": "#35507a", "shrinkA": 0, "shrinkB": 17}


def draw_pictures(
    arch: Architecture, classes: int, image_size: ImageSize, folder: Path
) -> None:
    """Writes inception-module.svg and reduction-costs.svg to a folder.

    Both show the network with naive modules beside `arch`. Raises UserError for a
    network without Inception modules, and for a folder that cannot be made.
    """
    stages = list(iterate_stages(arch, classes, image_size, auxiliary=False))
    naive = list(
        iterate_stages(ablate(arch, module="naive"), classes, image_size, False)
    )
    modules = [row for row in arch.rows if isinstance(row, Inception)]
    if not modules:
        raise UserError("pictures show Inception modules; this network has none.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--pictures needs a folder; {folder} is none.") from error
    example = next((x for x in modules if x.name == EXAMPLE_MODULE), modules[0])
    before = stages[[stage.name for stage in stages].index(example.name) - 1]
    with mpl.rc_context(SVG_STYLE):
        _save(_draw_modules(arch, example, before), folder / MODULE_FILE)
        _save(_draw_costs(stages, naive), folder / COSTS_FILE)


def _save(figure: Figure, path: Path) -> None:
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def _draw_costs(stages: Sequence[Stage], naive: Sequence[Stage]) -> Figure:
    """Bars of the parameters and multiply-adds of each row that has weights."""
    pairs = [(a, b) for a, b in zip(stages, naive, strict=True) if a.layers]
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    names = [stage.name.removeprefix("inception_") for stage, _ in pairs]
    for axes, (cost, unit, title) in zip(panels, COSTS, strict=True):
        for offset, column, label in ((-0.2, 1, "naive"), (0.2, 0, "as designed")):
            values = [getattr(pair[column], cost) / unit for pair in pairs]
            places = [place + offset for place in range(len(pairs))]
            total = sum(values)
            axes.barh(places, values, 0.4, label=f"{label}: {total:,.1f}")
        axes.set_yticks(range(len(names)), names)
        axes.set_title(title)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    return figure


def _draw_modules(arch: Architecture, module: Inception, before: Stage) -> Figure:
    """The module with naive branches and as `arch` has it, side by side."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    naive = without_reductions(module)
    for axes, row, title in zip(
        figure.subplots(1, 2), (naive, module), ("naive", "as designed"), strict=True
    ):
        stage = row_stage(arch, row, before.output)
        axes.set_title(f"{row.name}, {title}: {stage.macs / 1e6:,.1f}M multiply-adds")
        _draw_module(axes, arch, row, before, stage)
    return figure


def _draw_module(
    axes: Axes, arch: Architecture, row: Inception, before: Stage, stage: Stage
) -> None:
    """A box for each layer, from the input at the bottom to the concatenation."""
    macs = {layer.name: layer.macs for layer in stage.layers}
    branches = row.branches(arch.wide_kernel)
    middle, top = (len(branches) - 1) / 2, 3
    for place, branch in enumerate(branches):
        path = [(middle, 0.0)]
        for level, step in enumerate(branch, start=1 if len(branch) > 1 else 2):
            path.append((place, level * top / 4 + top / 8))
            text = f"{step.window}x{step.window}"
            if isinstance(step, Conv):
                text += f", {step.filters}\n{macs[step.name] / 1e6:,.1f}M"
            else:
                text += " max pool"
            axes.text(*path[-1], text, ha="center", va="center", bbox=BOX)
        path.append((middle, top))
        for begin, end in pairwise(path):
            axes.annotate("", end, begin, arrowprops=ARROW, zorder=1)
    for height, (name, output) in (
        (0, ("input", before.output)),
        (top, ("output", stage.output)),
    ):
        text = f"{name}: {' x '.join(map(str, output))}"
        axes.text(middle, height, text, ha="center", va="center", bbox=BOX)
    axes.set_xlim(-0.6, len(branches) - 0.4)
    axes.set_ylim(-0.3, top + 0.3)
    axes.axis("off")
