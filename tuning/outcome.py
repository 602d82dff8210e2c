"""Ends a search: chooses, draws and, if asked, retrains its best network."""

import logging
import shlex
import sys
from typing import TypedDict

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.training.options import TrainConfig
from tuning import measurement
from tuning.job import SearchJob
from tuning.pareto import draw_pareto, print_networks
from tuning.trial_log import TrialLog, TrialRow

log = logging.getLogger(__name__)

MAX_MEASURED_TRIALS = 5  # the best, where milliseconds are limited


class SearchResult(TypedDict):
    """The result.json of a search.

    seconds: of all completed trainings together.
    """

    best: TrialRow
    measured_milliseconds: float | None
    baselines: list[TrialRow]
    trials: int
    failed: int
    seconds: float
    cpu_seconds: float


def write_result(job: SearchJob, trials: TrialLog) -> SearchResult:
    """Writes best_architecture.json, pareto.png and result.json, and prints a table."""
    ranked, baselines, folder = trials.ranked(), trials.baselines(), job.folder
    best, milliseconds = _choose_best(job, ranked)
    write_json(folder.best_architecture, best["architecture"])
    draw_pareto(ranked, baselines, job.budget.limits, folder.pareto)
    print_networks([best, *baselines])
    completed = [*ranked, *baselines]
    result: SearchResult = {
        "best": best,
        "measured_milliseconds": milliseconds,
        "baselines": baselines,
        "trials": len(ranked),
        "failed": len(trials.failure_reasons()),
        "seconds": round(sum(row["seconds"] for row in completed), 1),
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in completed), 1),
    }
    write_json(folder.result, result)
    log.info(
        f"everything is in {folder}; train and export the best, trial {best['trial']}, "
        "with\n  python -m tuning.search --resume --retrain --run-folder "
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
    rows = ranked[:MAX_MEASURED_TRIALS]
    measured = list(zip(rows, _measure_once(job, rows), strict=True))
    for row, milliseconds in measured:
        log.info(
            f"trial {row['trial']}: {milliseconds:.3f} ms measured, "
            f"{row['milliseconds']:.3f} predicted, at most {limit:g} allowed"
        )
    allowed = [pair for pair in measured if pair[1] <= limit]
    if not allowed:
        log.warning(
            "none of these keeps the limit; the fastest is chosen. Lower "
            "--max-milliseconds, or measure on an idle machine."
        )
    return allowed[0] if allowed else min(measured, key=lambda pair: pair[1])


def _measure_once(job: SearchJob, rows: list[TrialRow]) -> list[float]:
    """Measures the int8 files of the rows, except those already in measured.json.

    Measured again, noise could choose another network.
    """
    path, costs = job.folder.measurements, job.budget.costs
    known = read_json(path) if path.is_file() else {}
    new = [row for row in rows if row["trial"] not in known]
    if new:
        networks = [Architecture.from_json(row["architecture"]) for row in new]
        found = measurement.measure_milliseconds(
            networks, costs.classes, costs.image_size
        )
        known |= dict(zip((row["trial"] for row in new), found, strict=True))
        write_json(path, known)
    return [known[row["trial"]] for row in rows]


def retrain_best(job: SearchJob, best: TrialRow) -> None:
    """Trains the best network in full and exports it, in a child process.

    Exits with status 1 if a format fails its checks.
    """
    name = f"retrained-{best['trial']}-{job.config.retrain_epochs}-epochs"
    config = job.training(
        architecture=job.folder.best_architecture,
        variant=best["architecture"]["name"],
        run_folder=job.folder.path / name,
        resume=True,  # an earlier attempt may have been killed
        epochs=job.config.retrain_epochs,
        learning_rate_factor=best["learning_rate_factor"],
    )
    with child_process(log=None) as call:  # which leaves a GPU free at its end
        try:
            passed = call(_train_and_export, config)
        except ProcessError as error:
            raise UserError(str(error)) from error
    if not passed:
        sys.exit(1)


def _train_and_export(config: TrainConfig) -> bool:
    """Trains and exports; returns whether every format passed its checks."""
    from googlenet_keras.evaluation.tables import print_figures
    from googlenet_keras.exporting.report import print_report
    from googlenet_keras.exports import export
    from googlenet_keras.runs import train

    run = train(config)
    assert run  # None only in further workers of one run
    print_figures({part: run.result[part] for part in ("validation", "test")})
    bundle = export(run)
    print_report(bundle.report)
    log.info("everything is in %s", bundle.folder)
    return bundle.passed
