"""The formats of a bundle beside each other: as a picture and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from rich.console import Console
from rich.table import Table

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PASSED, NOT_PASSED = "tab:blue", "tab:red"


def chart(report: Mapping[str, Any], path: Path) -> None:
    """Size, latency on one thread and top-1 of each format that could be run."""
    rows = {k: v for k, v in _rows(report).items() if "top1" in v}
    panels = (
        ("megabytes", [row.get("megabytes", 0) for row in rows.values()]),
        ("milliseconds, 1 thread",
         [row["milliseconds"]["1"]["median"] for row in rows.values()]),
        ("top-1", [row["top1"] for row in rows.values()]),
    )  # fmt: skip
    figure, axes = plt.subplots(1, 3, figsize=(11, 0.45 * len(rows) + 1), sharey=True)
    for axis, (title, values) in zip(axes, panels, strict=True):
        colors = [
            PASSED if r.get("passed", True) else NOT_PASSED for r in rows.values()
        ]
        bars = axis.barh(list(rows), values, color=colors)
        axis.bar_label(bars, fmt="%.3g", padding=2)
        axis.set_title(title)
        axis.margins(x=0.2)
    axes[0].invert_yaxis()
    axes[1].set_xscale("log")  # int16x8 takes tens of times the others' time on a CPU
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def print_report(report: Mapping[str, Any]) -> None:
    """A row for the network and each format; ms are of one thread, report.json has all.

    The ratio is of ms to the float32 file's.
    """
    table = Table(
        "format", "MB", "ms", "ratio", "peak MB", "top-1", "agreement", "gate"
    )  # fmt: skip
    for name, row in _rows(report).items():
        table.add_row(name, *_cells(row))
    Console().print(table)
    for missing in report["missing"]:
        print(f"missing: {missing}")


def _rows(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {"keras": report["keras"], **report["formats"]}


def _cells(row: Mapping[str, Any]) -> list[str]:
    gate = {None: "", True: "passed", False: "FAILED"}[row.get("passed")]
    if "milliseconds" not in row:
        return [_shown(row.get("megabytes"), ".2f"), *["-"] * 5, gate]
    time = row["milliseconds"]["1"]["median"]
    ratio = row.get("ratio_to_float32", {}).get("milliseconds")
    return [
        _shown(row.get("megabytes"), ".2f"),
        f"{time:.3g}",
        _shown(ratio, ".2f"),
        _shown(row["peak_megabytes"], ".0f"),
        f"{row['top1']:.4f}",
        _shown(row.get("agreement"), ".4f"),
        gate,
    ]


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
