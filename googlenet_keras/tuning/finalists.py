"""Chooses the trials that enter the race, or the best one if there is no race."""

import logging
from contextlib import suppress
from typing import Annotated

from msgspec import Meta

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.tuning import latency
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.trials import TrialLog, TrialRow, describe_network

log = logging.getLogger(__name__)

MAX_MEASURED_TRIALS = 5  # the best, where milliseconds are limited


def choose_finalists(job: SearchJob, trials: TrialLog) -> list[TrialRow]:
    """The best trials by loss that are to race, the best first.

    They have the longest trials' epochs and differ from each other and from the network
    of even width. A limit on milliseconds is kept when measured.
    """
    ranked = trials.ranking()
    longest = max(row["epochs"] for row in ranked)
    rows: dict[tuple[Architecture, float], TrialRow] = {}
    for row in ranked:
        arch = Architecture.from_json(row["architecture"])
        factor = row.get("learning_rate_factor", 1.0)
        is_other = factor != 1 or not job.space.is_uniform(arch)
        if row["epochs"] == longest and is_other:
            rows.setdefault((arch, factor), row)
    return _within_milliseconds(job, [*rows.values()])[: job.config.finalists]


def best_trial(job: SearchJob, trials: TrialLog) -> TrialRow:
    """The trial with the smallest loss that keeps a limit on milliseconds."""
    return _within_milliseconds(job, trials.ranking())[0]


def measured_milliseconds(job: SearchJob, row: TrialRow) -> float | None:
    """The milliseconds of a network, measured; None if these are not limited."""
    if not job.budget.limits.get("milliseconds"):
        return None
    return _measure(job, [row])[row["trial"]]


def _within_milliseconds(job: SearchJob, ranked: list[TrialRow]) -> list[TrialRow]:
    """Of the best trials those that keep the limit when measured, for predictions err.

    The fastest if none does; all trials if there is no limit.
    """
    limit = job.budget.limits.get("milliseconds")
    if not (limit and ranked):
        return ranked
    rows = ranked[: max(MAX_MEASURED_TRIALS, job.config.finalists)]
    measured = _measure(job, rows)
    if found := [row for row in rows if measured[row["trial"]] <= limit]:
        return found
    log.warning(
        "none of these keeps the limit; the fastest is chosen. Lower "
        "--max-milliseconds, or measure on an idle machine."
    )
    return [min(rows, key=lambda row: measured[row["trial"]])]


def _measure(job: SearchJob, rows: list[TrialRow]) -> dict[str, float]:
    """The measured milliseconds by trial; each is measured once in a search."""
    path, measured = job.folder.measurements, dict[str, float]()
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
            f"{describe_network(row['trial'])}: {measured[row['trial']]:.3f} ms "
            f"measured, {row['milliseconds']:.3f} predicted, at most "
            f"{job.budget.limits['milliseconds']:g} allowed"
        )
    return measured
