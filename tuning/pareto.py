"""Draws and prints searched networks next to uniformly narrowed ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter
from rich.table import Table

from googlenet_keras.console import table_console
from tuning.trial_log import TrialRow

Rows = Sequence[TrialRow]
COST_AXES: dict[str, tuple[str, float]] = {  # title and unit of the horizontal axis
    "macs": ("million multiply-adds", 1e-6),
    "megabytes": ("MB of int8.tflite", 1.0),
    "milliseconds": ("ms of int8.tflite, 1 thread (predicted)", 1.0),
}
TICK_MULTIPLES = (1.0, 2.0, 5.0)  # of every power of ten


def draw_pareto(
    trials: Rows, baselines: Rows, limits: Mapping[str, float], path: Path
) -> None:
    """Draws validation top-1 of the main head against each cost.

    limits: dotted. trials: completed ones, the best first; paler for fewer epochs.
    baselines: uniform multiples of GoogLeNet, the line to beat.
    """
    figure = Figure(figsize=(13, 4), layout="constrained")
    panels = figure.subplots(1, len(COST_AXES), sharey=True)
    for axes, cost in zip(panels, COST_AXES, strict=True):
        _draw_networks(axes, cost, trials, baselines)
        title, unit = COST_AXES[cost]
        if cost in limits:
            axes.axvline(limits[cost] * unit, ls=":", color="tab:red", label="budget")
        axes.set(xlabel=title, xscale="log")
        axes.xaxis.set_major_locator(LogLocator(subs=TICK_MULTIPLES))
        axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("validation top-1, main head")
    panels[0].legend(fontsize="small")
    figure.savefig(path, dpi=100)


def _draw_networks(axes: Axes, cost: str, trials: Rows, baselines: Rows) -> None:
    def plot(rows: Rows, marker: str, **style: Any) -> None:
        costs = [cast(dict[str, Any], row)[cost] * COST_AXES[cost][1] for row in rows]
        axes.plot(costs, [row["top1"]["main"] for row in rows], marker, **style)

    longest = max(row["epochs"] for row in trials)
    for epochs in sorted({row["epochs"] for row in trials}):
        rows = [row for row in trials if row["epochs"] == epochs]
        alpha, label = 0.25 + 0.75 * epochs / longest, f"searched, {epochs} epochs"
        plot(rows, "o", color="tab:blue", alpha=alpha, label=label)
    label = "uniform --width multiples of GoogLeNet"
    plot(baselines, "s--", color="black", label=label)
    plot(trials[:1], "*", ms=14, color="tab:orange", label="best")


def print_networks(rows: Rows) -> None:
    """Prints each network's validation top-1 by head, and its costs."""
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
    table_console().print(table)
