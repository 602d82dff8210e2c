"""What a search found, beside what narrowing GoogLeNet evenly gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter
from rich.console import Console
from rich.table import Table

Rows = Sequence[Mapping[str, Any]]
PANELS = {
    "macs": ("million multiply-adds", 1e-6),
    "megabytes": ("MB of int8.tflite", 1.0),
    "milliseconds": ("ms of int8.tflite, 1 thread (predicted)", 1.0),
}
TICKS = (1.0, 2.0, 5.0)  # of every power of ten


def pareto(
    trials: Rows, baselines: Rows, limits: Mapping[str, float], path: Path
) -> None:
    """Validation top-1 of the main head against each cost; limits: dashed.

    trials: those that ended well, the best first; paler for fewer epochs. baselines:
    even multiples of GoogLeNet, the line to beat.
    """
    figure = Figure(figsize=(13, 4), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (cost, (title, unit)) in zip(panels, PANELS.items(), strict=True):

        def points(rows: Rows, cost=cost, unit=unit) -> tuple[list, list]:
            costs = [row[cost] * unit for row in rows]
            return costs, [row["top1"]["main"] for row in rows]

        _draw(axes, trials, baselines, points)
        if cost in limits:
            most = limits[cost] * unit
            axes.axvline(most, ls=":", color="tab:red", label="budget")
        axes.set(xlabel=title, xscale="log")
        axes.xaxis.set_major_locator(LogLocator(subs=TICKS))
        axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("validation top-1, main head")
    panels[0].legend(fontsize="small")
    figure.savefig(path, dpi=100)


def _draw(axes, trials: Rows, baselines: Rows, points: Callable) -> None:
    most = max(row["epochs"] for row in trials)
    for epochs in sorted({row["epochs"] for row in trials}):
        rows = [row for row in trials if row["epochs"] == epochs]
        strength, label = 0.25 + 0.75 * epochs / most, f"found, {epochs} epochs"
        axes.plot(*points(rows), "o", color="tab:blue", alpha=strength, label=label)
    label = "even --width multiples of GoogLeNet"
    axes.plot(*points(baselines), "s--", color="black", label=label)
    axes.plot(*points(trials[:1]), "*", ms=14, color="tab:orange", label="best")


def print_rows(rows: Rows) -> None:
    """A row for each network: validation top-1 of its heads, and what it costs."""
    columns = ("network", "epochs", "main", "aux1", "aux2", "MMACs", "parameters",
               "MB", "ms")  # fmt: skip
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        heads = (row["top1"].get(head) for head in ("main", "aux1", "aux2"))
        table.add_row(
            row["trial"],
            str(row["epochs"]),
            *("-" if top1 is None else f"{top1:.4f}" for top1 in heads),
            f"{row['macs'] / 1e6:.1f}",
            f"{row['parameters']:,}",
            f"{row['megabytes']:.2f}",
            f"{row['milliseconds']:.2f}",
        )
    Console().print(table)
