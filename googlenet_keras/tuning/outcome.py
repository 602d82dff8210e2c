"""Chooses a search's best network; draws and prints it beside the baselines."""

import logging
import shlex
from contextlib import suppress
from typing import Annotated, Any, TypedDict

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from msgspec import Meta

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.console import new_table, print_table
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.installation import command_line
from googlenet_keras.tuning import latency
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.trials import TrialLog, TrialRow

log = logging.getLogger(__name__)

MAX_MEASURED_TRIALS = 5  # the best, where milliseconds are limited
COST_AXES = {  # title and unit of the horizontal axis
    "macs": ("million multiply-adds", 1e-6),
    "megabytes": ("MB of int8.tflite", 1.0),
    "milliseconds": ("ms of int8.tflite, 1 thread (predicted)", 1.0),
}


class SearchResult(TypedDict):
    """The result.json of a search."""

    best: TrialRow
    measured_milliseconds: float | None
    baselines: list[TrialRow]
    trials: int
    failed: int
    seconds: float  # of all completed trainings together
    cpu_seconds: float


def write_result(job: SearchJob, trials: TrialLog) -> SearchResult:
    """Writes best_architecture.json, pareto.png and result.json, and prints a table."""
    ranked, baselines, folder = trials.ranking(), trials.baselines(), job.folder
    best, milliseconds = _choose_best(job, ranked)
    write_json(folder.best_architecture, best["architecture"])
    _draw_pareto(job, trials)
    _print_networks([best, *baselines])
    completed = [*ranked, *baselines]
    result: SearchResult = {
        "best": best,
        "measured_milliseconds": milliseconds,
        "baselines": baselines,
        "trials": len(ranked),
        "failed": len(trials.with_status("failed")),
        "seconds": round(sum(row["seconds"] for row in completed), 1),
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in completed), 1),
    }
    write_json(folder.result, result)
    log.info(
        f"everything is in {folder}; train and export the best, trial {best['trial']}, "
        f"with\n  {command_line('search')} --resume --retrain --run-folder "
        f"{shlex.quote(str(folder))}"
    )
    return result


def _choose_best(
    job: SearchJob, ranked: list[TrialRow]
) -> tuple[TrialRow, float | None]:
    """The best trial, and its measured milliseconds if these are limited.

    A prediction may err: the best is then the first that keeps the limit when measured.
    """
    limit = job.budget.limits.get("milliseconds")
    if not limit:
        return ranked[0], None
    rows, path = ranked[:MAX_MEASURED_TRIALS], job.folder.measurements
    measured: dict[str, float] = {}
    # measured again, noise could choose another network
    with suppress(UserError):  # there is none, or it is damaged
        measured = read_json(path, dict[str, Annotated[float, Meta(gt=0, le=1e9)]])
    if new := [row for row in rows if row["trial"] not in measured]:
        networks = [Architecture.from_json(row["architecture"]) for row in new]
        found = latency.measure_milliseconds(networks, job.budget.costs)
        measured |= dict(zip((row["trial"] for row in new), found, strict=True))
        write_json(path, measured)
    for row in rows:
        log.info(
            f"trial {row['trial']}: {measured[row['trial']]:.3f} ms measured, "
            f"{row['milliseconds']:.3f} predicted, at most {limit:g} allowed"
        )
    best = next((row for row in rows if measured[row["trial"]] <= limit), None)
    if not best:
        log.warning(
            "none of these keeps the limit; the fastest is chosen. Lower "
            "--max-milliseconds, or measure on an idle machine."
        )
        best = min(rows, key=lambda row: measured[row["trial"]])
    return best, measured[best["trial"]]


def _draw_pareto(job: SearchJob, trials: TrialLog) -> None:
    """Draws validation top-1 against each cost, with the limits as dotted lines."""
    ranked, limits = trials.ranking(), job.budget.limits
    longest = max(row["epochs"] for row in ranked)
    series: list[tuple[list[Any], str, dict[str, Any]]] = []
    for epochs in sorted({row["epochs"] for row in ranked}):
        rows = [row for row in ranked if row["epochs"] == epochs]
        alpha, label = 0.25 + 0.75 * epochs / longest, f"searched, {epochs} epochs"
        series += [(rows, "o", {"color": "tab:blue", "alpha": alpha, "label": label})]
    label = "uniform --width multiples of GoogLeNet"
    series += [(trials.baselines(), "s--", {"color": "black", "label": label})]
    series += [(ranked[:1], "*", {"ms": 14, "color": "tab:orange", "label": "best"})]
    figure = Figure(figsize=(13, 4), layout="constrained")
    panels = figure.subplots(1, len(COST_AXES), sharey=True)
    for axes, (cost, (title, unit)) in zip(panels, COST_AXES.items(), strict=True):
        for networks, marker, style in series:
            top1 = [row["top1"]["main"] for row in networks]
            axes.plot([row[cost] * unit for row in networks], top1, marker, **style)
        if cost in limits:
            axes.axvline(limits[cost] * unit, ls=":", color="tab:red", label="budget")
        axes.set(xlabel=title, xscale="log")
        ticks = LogLocator(subs=(1.0, 2.0, 5.0))
        axes.xaxis.set(major_locator=ticks, major_formatter="{x:g}", minor_formatter="")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("validation top-1, main head")
    panels[0].legend(fontsize="small")
    figure.savefig(job.folder.pareto, dpi=100)


def _print_networks(rows: list[TrialRow]) -> None:
    heads = ("main", "aux1", "aux2")
    numbers = ("epochs", *heads, "MMACs", "parameters", "MB", "ms")
    table = new_table("network", numbers=numbers)
    for row in rows:
        table.add_row(
            row["trial"],
            str(row["epochs"]),
            *(f"{row['top1'][x]:.4f}" if x in row["top1"] else "-" for x in heads),
            f"{row['macs'] / 1e6:.1f}",
            f"{row['parameters']:,}",
            f"{row['megabytes']:.2f}",
            f"{row['milliseconds']:.2f}",
        )
    print_table(table)
