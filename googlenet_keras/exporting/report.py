"""The content of an export's report.json, and its chart and table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from googlenet_keras.console import new_table, table_console
from googlenet_keras.machine import Environment

PASSED_COLOR, FAILED_COLOR = "tab:blue", "tab:red"


class Latency(TypedDict):
    """Milliseconds of one image."""

    median: float
    p90: float


class Ratio(TypedDict):
    """A format's size and time on one thread as fractions of the float32 file's."""

    megabytes: float
    milliseconds: float


class FormatRow(TypedDict, total=False):
    """A row of report.json: one format, or the Keras network.

    milliseconds: by number of threads. xnnpack_partitions: pieces of the graph that
    XNNPACK computes. agreement: fraction of the images with the network's own top-1.
    max_difference, mean_difference: of probabilities from the network's. reason: why
    it has not passed. The others are those of `inspect_tflite`.
    """

    file: str
    megabytes: float
    operators: dict[str, int]
    not_quantised: list[str]
    gpu_refuses: list[str]
    npu_refuses: list[str]
    milliseconds: dict[str, Latency]
    peak_megabytes: float | None
    images: int
    top1: float
    macro_f1: float
    xnnpack_partitions: int
    agreement: float
    max_difference: float
    mean_difference: float
    passed: bool
    reason: str | None
    ratio_to_float32: Ratio


class PageRow(TypedDict, total=False):
    """The row of the web page in report.json."""

    file: str
    megabytes: float
    first_load_megabytes: float
    runtime: dict[str, str]
    passed: bool
    reason: str | None


class ExportReport(TypedDict):
    """The content of report.json."""

    keras: FormatRow
    formats: dict[str, FormatRow]
    web: NotRequired[PageRow]
    options: dict[str, Any]
    missing: list[str]
    provenance: dict[str, Any]
    environment: Environment


def add_ratios(rows: Mapping[str, FormatRow]) -> None:
    """Sets ratio_to_float32 in each row that has figures."""
    timed = {name: row for name, row in rows.items() if "milliseconds" in row}
    if "float32" not in timed:
        return
    base = timed["float32"]
    for row in timed.values():
        row["ratio_to_float32"] = {
            "megabytes": round(row["megabytes"] / base["megabytes"], 4),
            "milliseconds": round(_milliseconds(row) / _milliseconds(base), 4),
        }


def draw_report(report: ExportReport, path: Path) -> None:
    """Draws size, latency on one thread and top-1 of each format that could be run."""
    from matplotlib.figure import Figure

    rows = {name: row for name, row in _rows(report).items() if "top1" in row}
    colors = [
        PASSED_COLOR if row.get("passed", True) else FAILED_COLOR
        for row in rows.values()
    ]
    panels = (
        ("megabytes", [row.get("megabytes", 0) for row in rows.values()]),
        ("milliseconds, 1 thread", [_milliseconds(row) for row in rows.values()]),
        ("top-1", [row["top1"] for row in rows.values()]),
    )
    figure = Figure(figsize=(11, 0.45 * len(rows) + 1))
    axes = figure.subplots(1, 3, sharey=True)
    for axis, (title, values) in zip(axes, panels, strict=True):
        bars = axis.barh(list(rows), values, color=colors)
        axis.bar_label(bars, fmt="%.3g", padding=2)
        axis.set_title(title)
        axis.margins(x=0.2)
    axes[0].invert_yaxis()
    axes[1].set_xscale("log")  # int16x8 takes tens of times the others' time on a CPU
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def print_report(report: ExportReport) -> None:
    """Prints a table with a row for the network and each format.

    The ratio is of ms to the float32 file's.
    """
    numbers = ("MB", "ms", "ratio", "peak MB", "top-1", "agreement", "gate")
    table = new_table("format", numbers=numbers)
    for name, row in _rows(report).items():
        table.add_row(name, *_cells(row))
    table_console().print(table)
    for missing in report["missing"]:
        print(f"missing: {missing}")


def _rows(report: ExportReport) -> dict[str, FormatRow]:
    return {"keras": report["keras"], **report["formats"]}


def _milliseconds(row: FormatRow) -> float:
    return row["milliseconds"]["1"]["median"]


def _cells(row: FormatRow) -> list[str]:
    gate = {None: "", True: "passed", False: "FAILED"}[row.get("passed")]
    megabytes = _cell(row.get("megabytes"), ".2f")
    if "milliseconds" not in row:
        return [megabytes, *["-"] * 5, gate]
    ratio = row.get("ratio_to_float32")
    return [
        megabytes,
        f"{_milliseconds(row):.3g}",
        _cell(ratio["milliseconds"] if ratio else None, ".2f"),
        _cell(row["peak_megabytes"], ".0f"),
        f"{row['top1']:.4f}",
        _cell(row.get("agreement"), ".4f"),
        gate,
    ]


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
