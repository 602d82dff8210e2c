"""Runs searches that are prepared, from the baselines to the retrained winner."""

import logging
import math
import time
from collections.abc import Sequence

from googlenet_keras.tuning import workers
from googlenet_keras.tuning.finalists import choose_finalists
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.networks import Networks
from googlenet_keras.tuning.outcome import FinishedSearch, write_result
from googlenet_keras.tuning.planning import (
    divide,
    forecast_search,
    plan_race,
    plan_searches,
)
from googlenet_keras.tuning.proposals import prepare_proposals
from googlenet_keras.tuning.race import Race
from googlenet_keras.tuning.trainings import retrain_best, train_baselines
from googlenet_keras.tuning.trials import TrialLog
from googlenet_keras.tuning.tuner import Tuner

log = logging.getLogger(__name__)


def run_searches(
    jobs: Sequence[SearchJob], began: float, minutes: float
) -> list[FinishedSearch]:
    """Runs the searches one after the other, within `minutes` if they are not 0.

    began: when this process did, by time.monotonic().
    """
    spent = sum(TrialLog(job).seconds for job in jobs)  # raises for an older version's
    end = began + 60 * minutes - spent if minutes else math.inf
    for job in jobs:
        job.save_options()
        log.info("run folder %s", job.folder)
    prepare_proposals(jobs)
    for job in jobs:
        train_baselines(job, TrialLog(job))
    plans = plan_searches(jobs, end - time.monotonic())
    finished: list[FinishedSearch] = []
    for number, plan in enumerate(plans):
        if len(plans) > 1:
            log.info(f"budget {number + 1} of {len(plans)}: {plan.name}")
        costs = [forecast_search(x, TrialLog(x)).seconds() for x in plans[number:]]
        now = time.monotonic()
        finished.append(_run(plan, now + divide(end - now, costs)[0]))
    return finished


def _run(job: SearchJob, end: float) -> FinishedSearch:
    """Runs a search whose baselines are trained. end: its time.monotonic() then."""
    trials = TrialLog(job)
    forecast = trials.forecast = forecast_search(job, trials)
    _run_trials(job, trials)
    trials.check_any_completed()
    job, race = plan_race(job, trials, forecast, end - time.monotonic()), None
    if job.config.finalists:
        race = Race(job, trials, choose_finalists(job, trials))
        race.run()
    networks = Networks(job, trials, race)
    result = write_result(networks)
    passed = not job.config.retrain or retrain_best(job, networks.best)
    return FinishedSearch(networks, result, passed)


def _run_trials(job: SearchJob, trials: TrialLog) -> None:
    tuner = Tuner(job, trials)
    if not tuner.is_done():
        if workers.role() == "chief":
            log.info("waiting for workers")
        with workers.local_workers(job):
            tuner.search()
    if not tuner.is_done():
        log.info(
            f"ended before {job.config.trials} trials: nothing new fits the budget"
        )
