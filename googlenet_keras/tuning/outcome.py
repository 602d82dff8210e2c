"""The outcome of a search: the network it hands over, beside the others."""

import logging
import shlex
from dataclasses import dataclass
from typing import TypedDict

from googlenet_keras.console import new_table, print_table
from googlenet_keras.evaluation.metrics import Interval
from googlenet_keras.files import write_json
from googlenet_keras.installation import command_line
from googlenet_keras.tuning.comparison import Difference
from googlenet_keras.tuning.finalists import measured_milliseconds
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.networks import Networks
from googlenet_keras.tuning.pareto import draw_pareto
from googlenet_keras.tuning.race import Race, Racer
from googlenet_keras.tuning.trials import TrialRow, describe_network, trial_label
from googlenet_keras.tuning.verdict import Verdict, judge_race, without_race

log = logging.getLogger(__name__)


class RoundResult(TypedDict):
    """The means of a round's images: cross-entropy in nats, a fraction of 1."""

    loss: float
    top1: float
    images: int


class RacerResult(TypedDict):
    """A network of the race; its means are those of its rounds.

    trial: "uniform" for even width. difference: to that; None for itself, and for a
    network that has run no round. left: why it left before the end, if it did.
    """

    trial: str
    loss: float | None
    top1: float | None
    rounds: list[RoundResult]
    difference: Difference | None
    left: str | None


class SearchResult(TypedDict):
    """The result.json of a search.

    best: what best_architecture.json has. race: empty without one.
    """

    best: TrialRow
    verdict: Verdict
    measured_milliseconds: float | None
    race: list[RacerResult]
    baselines: list[TrialRow]
    trials: int
    failed: int
    seconds: float  # of all completed trainings together
    cpu_seconds: float


@dataclass(frozen=True)
class FinishedSearch:
    """A search that has ended. passed: whether --retrain's export is as it must be."""

    networks: Networks
    result: SearchResult
    passed: bool = True


def write_result(networks: Networks) -> SearchResult:
    """Writes best_architecture.json, pareto.png and result.json, and prints tables."""
    trials, race, best = networks.trials, networks.race, networks.best
    folder = networks.job.folder
    baselines, ranked = trials.baselines(), trials.ranking()
    verdict = judge_race(race) if race else without_race(best)
    write_json(folder.best_architecture, best["architecture"])
    draw_pareto(networks)
    _print_networks([best, *(row for row in baselines if row is not best)])
    if race:
        _print_race(race)
    completed = [*ranked, *baselines, *trials.races()]
    result: SearchResult = {
        "best": best,
        "verdict": verdict,
        "measured_milliseconds": _measure(networks.job, best),
        "race": [_racer_result(race, racer) for racer in race.racers] if race else [],
        "baselines": baselines,
        "trials": len(ranked),
        "failed": len(trials.with_status("failed")),
        "seconds": round(sum(row["seconds"] for row in completed), 1),
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in completed), 1),
    }
    write_json(folder.result, result)
    log.info(verdict["sentence"])
    log.info(
        f"everything is in {folder}; train and export "
        f"{describe_network(best['trial'])} with\n  {command_line('search')} --resume "
        f"--retrain --run-folder {shlex.quote(str(folder))}"
    )
    return result


def _measure(job: SearchJob, best: TrialRow) -> float | None:
    """The measured milliseconds of `best`, if these are limited."""
    limit = job.budget.limits.get("milliseconds")
    found = measured_milliseconds(job, best)
    if limit and found and found > limit:
        log.warning(
            f"{describe_network(best['trial'])} needs {found:.3f} ms, measured, and "
            f"{limit:g} are allowed. Lower --max-milliseconds."
        )
    return found


def _racer_result(race: Race, racer: Racer) -> RacerResult:
    has_run = bool(racer.rounds)
    return {
        "trial": racer.name,
        "loss": racer.loss if has_run else None,
        "top1": racer.top1 if has_run else None,
        "rounds": [
            {
                "loss": float(result.loss.mean()),
                "top1": float(result.correct.mean()),
                "images": len(result.loss),
            }
            for result in racer.rounds
        ],
        "difference": race.difference(racer),
        "left": racer.left or None,
    }


def _print_networks(rows: list[TrialRow]) -> None:
    """Prints a table of networks: metrics of the validation images, and costs."""
    heads = ("main", "aux1", "aux2")
    numbers = ("epochs", "loss", *heads, "MMACs", "parameters", "MB", "ms")
    table = new_table("network", numbers=numbers)
    for row in rows:
        table.add_row(
            trial_label(row),
            str(row["epochs"]),
            f"{row['loss']:.4f}",
            *(f"{row['top1'][x]:.4f}" if x in row["top1"] else "-" for x in heads),
            f"{row['macs'] / 1e6:.1f}",
            f"{row['parameters']:,}",
            f"{row['megabytes']:.2f}",
            f"{row['milliseconds']:.2f}",
        )
    print_table(table)


def _print_race(race: Race) -> None:
    """Prints a table of the race; differences are to the network of even width."""
    columns = ("rounds", "loss", "top-1", "loss difference", "top-1 difference")
    table = new_table("race", numbers=columns)
    for racer in race.racers:
        if not racer.rounds:
            continue
        differences, found = ["-", "-"], race.difference(racer)
        if found:
            differences = [
                _with_interval(found["loss"], found["loss_interval"]),
                _with_interval(found["top1"], found["top1_interval"]),
            ]
        means = (f"{racer.loss:.4f}", f"{racer.top1:.4f}")
        table.add_row(racer.name, str(len(racer.rounds)), *means, *differences)
    print_table(table)


def _with_interval(value: float, interval: Interval) -> str:
    low, high = interval
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f})"
