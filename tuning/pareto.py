"""What a search found, beside what narrowing GoogLeNet evenly gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

Rows = Sequence[Mapping[str, Any]]
PANELS = {
    "macs": "multiply-adds",
    "megabytes": "MB of int8.tflite",
    "milliseconds": "ms of int8.tflite, 1 thread (predicted)",
}


def pareto(
    trials: Rows, baselines: Rows, limits: Mapping[str, float], path: Path
) -> None:
    """Validation top-1 of the main head against each cost; limits: dashed.

    trials: those that ended well, the best first; paler for fewer epochs. baselines:
    uniform multiples of GoogLeNet, the line to beat.
    """
    figure = Figure(figsize=(13, 4), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (cost, title) in zip(panels, PANELS.items(), strict=True):
        _scatter(axes, trials, cost)
        axes.plot(
            [row[cost] for row in baselines],
            [row["top1"]["main"] for row in baselines],
            "s--",
            color="black",
            label="GoogLeNet and its --width multiples",
        )
        if cost in limits:
            axes.axvline(limits[cost], ls=":", color="tab:red", label="budget")
        axes.set(xlabel=title, xscale="log")
        axes.grid(alpha=0.3, which="both")
    panels[0].set_ylabel("validation top-1, main head")
    panels[0].legend(fontsize="small")
    figure.savefig(path, dpi=100)


def _scatter(axes, trials: Rows, cost: str) -> None:
    most = max(row["epochs"] for row in trials)
    for epochs in sorted({row["epochs"] for row in trials}):
        rows = [row for row in trials if row["epochs"] == epochs]
        axes.plot(
            [row[cost] for row in rows],
            [row["top1"]["main"] for row in rows],
            "o",
            color="tab:blue",
            alpha=0.25 + 0.75 * epochs / most,
            label=f"found, {epochs} epochs",
        )
    best = trials[0]
    axes.plot(best[cost], best["top1"]["main"], "*", ms=14, color="tab:orange",
              label="best")  # fmt: skip


def print_rows(rows: Rows) -> None:
    """A row for each network: validation top-1 of its heads, and what it costs."""
    columns = ("network", "epochs", "main", "aux1", "aux2", "M multiply-adds",
               "parameters", "MB", "ms")  # fmt: skip
    table = Table(*columns)
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
