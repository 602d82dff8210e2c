"""The content of an export's report.json, and its chart and table."""

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from googlenet_keras.console import new_table, print_table
from googlenet_keras.machine import Environment
from googlenet_keras.processes import ProcessError

log = logging.getLogger(__name__)


class SelfTestRow(TypedDict):
    """The self-test of a format: its tolerance and the mistakes it cannot show."""

    tolerance: float  # of probabilities, for what is right
    cannot_show: list[str]  # mistakes that change the answers too little


class ProcessorRow(TypedDict):
    """A file's answers on another processor, beside its answers here.

    Written by benchmarks.arm64 and benchmarks.gpu, which a new export forgets.
    """

    images: int
    bit_equal: int  # of the images, as the next
    top1_equal: int
    max_difference: float  # of a probability
    seconds: float
    fully_accelerated: bool  # by XNNPACK, or by the GPU
    passed: bool
    reason: str | None  # why it has not passed


class Top1Loss(TypedDict):
    """What the images say of a quantized file's loss of top-1, of the network's."""

    points: float  # percentage points that it lost on these images
    limit_points: float
    confidence: float  # that on all such images it loses less than the limit
    images_for_95_percent: int | None  # None: it loses more, whatever their number


class NpuRow(TypedDict, total=False):
    """A file that was compiled for an NPU; it has not run on one."""

    file: str
    operators: int  # before, and how many of them the NPU computes
    operators_on_npu: int
    reason: str | None  # why there is none


class FormatRow(TypedDict, total=False):
    """A row of report.json: one format, the web page, or the Keras network."""

    file: str
    megabytes: float
    photo_aspect: float  # width / height of what a file for whole photographs takes
    operators: dict[str, int]  # this one and the next four: of `inspect_tflite`
    min_tflite_version: str | None
    min_runtime: str | None  # the least version of what runs the file
    not_quantised: list[str]
    gpu_refuses: list[str]
    npu_refuses: list[str]
    milliseconds: dict[str, dict[str, float]]  # "median" and "p90" by threads
    peak_megabytes: float | None
    images: int
    top1: float
    macro_f1: float
    xnnpack_partitions: int  # pieces of the graph that XNNPACK computes
    agreement: float  # fraction of the images with the network's own top-1
    max_difference: float  # of a probability from the network's
    mean_difference: float
    top1_loss: Top1Loss
    worst_layers: dict[str, float]  # of an int8 file that failed: `worst_layers`
    npu: dict[str, NpuRow]  # by chip
    passed: bool
    reason: str | None  # why it has not passed
    self_test: SelfTestRow
    processors: dict[str, ProcessorRow]  # on which the file was run, by their names
    ratio_to_float32: dict[str, float]  # of megabytes, and of CPU milliseconds in turns
    first_load_megabytes: float  # of the page, as the next
    runtime: dict[str, str]


class ExportReport(TypedDict):
    """The content of report.json."""

    keras: FormatRow
    formats: dict[str, FormatRow]
    web: NotRequired[FormatRow]
    apps: NotRequired[dict[str, FormatRow]]
    options: dict[str, Any]
    missing: list[str]
    provenance: dict[str, Any]
    environment: Environment


@contextmanager
def outcome(name: str, row: FormatRow) -> Iterator[None]:
    """Logs at the end of the block whether the format `name` has passed.

    An error within the block becomes the reason why it has not.
    """
    began = time.perf_counter()
    try:
        yield
    except (ProcessError, ValueError) as error:
        row.update({"passed": False, "reason": str(error)})
    result = "passed" if row["passed"] else f"FAILED: {row['reason']}"
    log.info("%-12s %s in %.0f s", name, result, time.perf_counter() - began)


def megabytes(path: Path) -> float:
    """The size of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return round(sum(file.stat().st_size for file in files) / 1e6, 3)


def add_ratios(rows: Mapping[str, FormatRow], time_ratios: Mapping[str, float]) -> None:
    """Sets ratio_to_float32 in each row that has one of `time_ratios`."""
    for name, ratio in time_ratios.items():
        megabytes = rows[name]["megabytes"] / rows["float32"]["megabytes"]
        rows[name]["ratio_to_float32"] = {
            "megabytes": round(megabytes, 4),
            "milliseconds": round(ratio, 4),
        }


def draw_report(report: ExportReport, path: Path) -> None:
    """Draws size, latency on one thread and top-1 of each format that could be run."""
    from matplotlib.figure import Figure

    rows = {name: row for name, row in _rows(report).items() if "top1" in row}
    colors = ["tab:blue" if r.get("passed", True) else "tab:red" for r in rows.values()]
    panels = {
        "megabytes": [row.get("megabytes", 0) for row in rows.values()],
        "milliseconds, 1 thread": [_milliseconds(row) for row in rows.values()],
        "top-1": [row["top1"] for row in rows.values()],
    }
    figure = Figure(figsize=(11, 0.45 * len(rows) + 1))
    axes = figure.subplots(1, len(panels), sharey=True)
    for axis, (title, values) in zip(axes, panels.items(), strict=True):
        bars = axis.barh(list(rows), values, color=colors)
        axis.bar_label(bars, fmt=_bar_text, padding=2)
        axis.set_title(title)
        axis.margins(x=0.2)
    axes[0].invert_yaxis()
    axes[1].set_xscale("log")  # int16x8 takes tens of times the others' time on a CPU
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _bar_text(value: float) -> str:
    return "not timed" if math.isnan(value) else f"{value:.3g}"


def print_report(report: ExportReport) -> None:
    """Prints a table with a row for the network and each format."""
    numbers = ("MB", "ms", "ratio", "peak MB", "top-1", "agreement", "gate")
    table = new_table("format", numbers=numbers)
    for name, row in _rows(report).items():
        ratio = row.get("ratio_to_float32")
        cells = (
            (row.get("megabytes"), ".2f"),
            (_milliseconds(row) if "milliseconds" in row else None, ".3g"),
            (ratio["milliseconds"] if ratio else None, ".2f"),
            (row.get("peak_megabytes"), ".0f"),
            (row.get("top1"), ".4f"),
            (row.get("agreement"), ".4f"),
        )
        texts = ["-" if value is None else format(value, form) for value, form in cells]
        gate = {None: "", True: "passed", False: "FAILED"}[row.get("passed")]
        table.add_row(name, *texts, gate)
    print_table(table)
    print(
        "ms: wall time of an image on one thread, each file measured by itself; ratio: "
        "CPU time relative to float32, measured in turns with it"
    )
    for name, row in report["formats"].items():
        if "top1_loss" in row:
            print(f"{name}: {_loss_text(row['top1_loss'], row['images'])}")
    for missing in report["missing"]:
        print(f"missing: {missing}")


def _loss_text(loss: Top1Loss, images: int) -> str:
    """With which confidence a file loses little, in a sentence."""
    needed = loss["images_for_95_percent"]
    more = (
        "it loses more on these"
        if needed is None
        else "enough for 95 %"
        if needed <= images
        else f"95 % would take {needed:,}"
    )
    return (
        f"loses less than {loss['limit_points']:g} points of top-1 with "
        f"{loss['confidence']:.0%} confidence ({images:,} images; {more})"
    )


def _rows(report: ExportReport) -> dict[str, FormatRow]:
    return {"keras": report["keras"], **report["formats"]}


def _milliseconds(row: FormatRow) -> float:
    """On one thread; NaN for a file that is not run by its own runtime here."""
    return row["milliseconds"]["1"]["median"] if "milliseconds" in row else math.nan
