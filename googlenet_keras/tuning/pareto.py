"""Draws a search's networks: top-1 against what they cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from googlenet_keras.evaluation.metrics import wilson
from googlenet_keras.tuning.comparison import image_count
from googlenet_keras.tuning.networks import Networks
from googlenet_keras.tuning.race import Racer
from googlenet_keras.tuning.trials import UNIFORM, TrialLog, TrialRow

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


_Series = tuple[Sequence[_Point], dict[str, Any]]  # points, and the style they share
_Limits = tuple[Mapping[str, float], dict[str, Any]]


def draw_pareto(search: Networks) -> None:
    """Draws top-1 with 95 % intervals against each cost, and limits as dotted lines.

    Trials and baselines have the validation images, networks of the race the images of
    all their rounds. A star marks the best one.
    """
    limit = (search.job.budget.limits, {"color": "tab:red", "label": "budget"})
    _draw(_series(search), [limit], search.job.folder.pareto)


def draw_family(searches: Sequence[Networks], path: Path) -> None:
    """Draws the networks of searches for several budgets, a color for each budget.

    Its trials are dots; a square marks its network of even width, a star what it hands
    over, both with the mean of their rounds after a race; its limits are dotted lines.
    """
    series: list[_Series] = []
    limits: list[_Limits] = []
    others = [
        _point(row)
        for search in searches
        for row in search.trials.baselines()
        if row["trial"] != UNIFORM
    ]
    style = {"marker": "s", "ls": "none", "color": "black"}
    if others:
        series.append((others, style | {"label": "other --baselines"}))
    for number, search in enumerate(searches):
        color, name = f"C{number}", search.job.name
        series += _family_series(search, color)
        limits.append((search.job.budget.limits, {"color": color, "label": name}))
    _draw(series, limits, path)


def _family_series(search: Networks, color: str) -> list[_Series]:
    raced = _raced(search)
    marked = [search.trials.find(UNIFORM), search.best]
    points = [raced.get(row["trial"]) or _point(row) for row in marked if row]
    dots = {"marker": "o", "ls": "none", "color": color, "alpha": 0.35}
    return [
        ([_point(row) for row in search.trials.ranking()], dots),
        (points[:1], dots | {"marker": "s", "alpha": 1}),
        (points[1:], STAR | {"color": color}),
    ]


def _draw(series: list[_Series], limits: list[_Limits], path: Path) -> None:
    """Draws points against each cost, and limits as dotted lines."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    panels = figure.subplots(1, len(COST_AXES), sharey=True)
    for axes, (cost, (title, unit)) in zip(panels, COST_AXES.items(), strict=True):
        for points, style in series:
            _plot(axes, [point.row[cost] * unit for point in points], points, style)
        for of_budget, style in limits:
            if cost in of_budget:
                axes.axvline(of_budget[cost] * unit, ls=":", **style)
        axes.set(xlabel=title, xscale="log")
        ticks = LogLocator(subs=(1.0, 2.0, 5.0))
        axes.xaxis.set(major_locator=ticks, major_formatter="{x:g}", minor_formatter="")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("top-1, main head")
    panels[0].legend(fontsize="small")
    figure.savefig(path, dpi=100)


def _series(search: Networks) -> list[_Series]:
    """The points that share a style, with that style."""
    trials, best = search.trials, search.best
    ranked = trials.ranking()
    longest = max(row["epochs"] for row in ranked)
    series: list[_Series] = []
    for epochs in sorted({row["epochs"] for row in ranked}):
        points = [_point(row) for row in ranked if row["epochs"] == epochs]
        alpha, label = 0.25 + 0.75 * epochs / longest, f"searched, {epochs} epochs"
        style = {"marker": "o", "ls": "none", "color": "tab:blue", "alpha": alpha}
        series.append((points, style | {"label": label}))
    baselines = [_point(row) for row in trials.baselines()]
    style = {"marker": "s", "ls": "--", "color": "black"}
    label = "uniform --width multiples of GoogLeNet"
    series.append((baselines, style | {"label": label}))
    if raced := _raced(search):
        style = {"marker": "D", "ls": "none", "color": "tab:green"}
        label = "the race: mean of the rounds"
        series.append(([*raced.values()], style | {"label": label}))
    star = raced.get(best["trial"]) or _point(best)
    return [*series, ([star], STAR | {"label": "best"})]


def _point(row: TrialRow) -> _Point:
    return _Point(row["top1"]["main"], row["images"], row)


def _raced(search: Networks) -> dict[str, _Point]:
    racers = search.race.racers if search.race else []
    return {x.name: _race_point(search.trials, x) for x in racers if x.rounds}


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
