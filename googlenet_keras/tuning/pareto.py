"""Draws a search's networks: top-1 against what they cost."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from googlenet_keras.evaluation.metrics import wilson
from googlenet_keras.tuning.comparison import image_count
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.race import Race, Racer
from googlenet_keras.tuning.trials import TrialLog, TrialRow

COST_AXES = {  # title and unit of the horizontal axis
    "macs": ("million multiply-adds", 1e-6),
    "megabytes": ("MB of int8.tflite", 1.0),
    "milliseconds": ("ms of int8.tflite, 1 thread (predicted)", 1.0),
}
STAR = {"ls": "none", "marker": "*", "ms": 14, "color": "tab:orange"}


class _Point(NamedTuple):
    """A network's top-1, the images that have judged it, and its row with the costs."""

    top1: float
    images: int
    row: Mapping[str, Any]


def draw_pareto(
    job: SearchJob, trials: TrialLog, race: Race | None, best: TrialRow
) -> None:
    """Draws top-1 with 95 % intervals against each cost, and limits as dotted lines.

    Trials and baselines have the validation images, networks of the race the images of
    all their rounds. A star marks `best`.
    """
    series = _series(trials, race, best)
    figure = Figure(figsize=(13, 4), layout="constrained")
    panels = figure.subplots(1, len(COST_AXES), sharey=True)
    for axes, (cost, (title, unit)) in zip(panels, COST_AXES.items(), strict=True):
        for points, style in series:
            _plot(axes, [point.row[cost] * unit for point in points], points, style)
        if cost in job.budget.limits:
            limit = job.budget.limits[cost] * unit
            axes.axvline(limit, ls=":", color="tab:red", label="budget")
        axes.set(xlabel=title, xscale="log")
        ticks = LogLocator(subs=(1.0, 2.0, 5.0))
        axes.xaxis.set(major_locator=ticks, major_formatter="{x:g}", minor_formatter="")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("top-1, main head")
    panels[0].legend(fontsize="small")
    figure.savefig(job.folder.pareto, dpi=100)


def _series(
    trials: TrialLog, race: Race | None, best: TrialRow
) -> list[tuple[list[_Point], dict[str, Any]]]:
    """The points that share a style, with that style."""
    ranked = trials.ranking()
    longest = max(row["epochs"] for row in ranked)
    series: list[tuple[list[_Point], dict[str, Any]]] = []
    for epochs in sorted({row["epochs"] for row in ranked}):
        points = [_point(row) for row in ranked if row["epochs"] == epochs]
        alpha, label = 0.25 + 0.75 * epochs / longest, f"searched, {epochs} epochs"
        style = {"marker": "o", "ls": "none", "color": "tab:blue", "alpha": alpha}
        series.append((points, style | {"label": label}))
    baselines = [_point(row) for row in trials.baselines()]
    style = {"marker": "s", "ls": "--", "color": "black"}
    label = "uniform --width multiples of GoogLeNet"
    series.append((baselines, style | {"label": label}))
    racers = [racer for racer in race.racers if racer.rounds] if race else []
    raced = {racer.name: _race_point(trials, racer) for racer in racers}
    if raced:
        style = {"marker": "D", "ls": "none", "color": "tab:green"}
        label = "the race: mean of the rounds"
        series.append(([*raced.values()], style | {"label": label}))
    star = raced.get(best["trial"]) or _point(best)
    return [*series, ([star], STAR | {"label": "best"})]


def _point(row: TrialRow) -> _Point:
    return _Point(row["top1"]["main"], row["images"], row)


def _race_point(trials: TrialLog, racer: Racer) -> _Point:
    row = trials.find(racer.name)
    assert row  # a trial's, or that of even width
    return _Point(racer.top1, image_count(racer.rounds), row)


def _plot(
    axes: Axes, costs: list[float], points: Sequence[_Point], style: dict[str, Any]
) -> None:
    """Plots points with Wilson's intervals as error bars."""
    top1 = np.array([point.top1 for point in points])
    limits = np.array([_interval(point) for point in points]).reshape(-1, 2)
    errors = np.maximum([top1 - limits[:, 0], limits[:, 1] - top1], 0)
    axes.errorbar(costs, top1, yerr=errors, elinewidth=0.8, **style)


def _interval(point: _Point) -> tuple[float, float]:
    hits = round(point.top1 * point.images)
    return wilson(np.arange(point.images) < hits)
