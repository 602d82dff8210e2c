"""Searches the filter widths that suit a budget best.

`python -m tuning.search --help` lists the options.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING

from googlenet_keras.console import run_script
from googlenet_keras.errors import UserError
from tuning import workers
from tuning.config import SearchConfig, read_search_flags

if TYPE_CHECKING:  # TensorFlow would slow down --help
    from tuning.job import SearchJob
    from tuning.outcome import SearchResult
    from tuning.trial_log import TrialLog

log = logging.getLogger("tuning.search")  # __name__ is __main__


def main() -> None:
    """Searches alone or as a chief, or trains what a chief proposes."""
    role = workers.role()
    if role == "worker":
        workers.connect_to_chief()
        work(read_search_flags())
        return
    config = read_search_flags()
    if role == "chief":
        workers.check_chief(config.workers)
    search(config)


def search(config: SearchConfig) -> SearchResult:
    """Runs a whole search: proposes, trains and compares networks within the budget.

    The run folder has trials.jsonl, best_architecture.json and pareto.png. Raises
    UserError, before the folder is made if that can be known.
    """
    from tuning.job import prepare_search
    from tuning.outcome import retrain_best, write_result
    from tuning.trial import train_baselines
    from tuning.trial_log import TrialLog

    job = prepare_search(config)
    with job.folder.lock():
        job.save_options()
        log.info("run folder %s", job.folder)
        trials = TrialLog(job)
        _train_trials(job, trials)
        train_baselines(job, trials)
        result = write_result(job, trials)
        if job.config.retrain:
            retrain_best(job, result["best"])
    return result


def _train_trials(job: SearchJob, trials: TrialLog) -> None:
    """Trains what keras-tuner proposes. Raises UserError if no trial is completed."""
    from tuning.oracle import Tuner

    tuner = Tuner(job, trials)
    if not tuner.is_done():
        with workers.local_workers(job) if job.config.workers else nullcontext():
            tuner.search()
    if not tuner.is_done():
        log.info(
            f"ended before {job.config.trials} trials: no new network fits the budget"
        )
    trials.check_any_completed()


def work(config: SearchConfig) -> None:
    """Trains what the chief of the search in --run-folder proposes."""
    from tuning.job import prepare_search

    if not config.resume:
        raise UserError(
            "a worker takes its options from the chief's run folder; give it "
            "--resume --run-folder FOLDER and nothing else."
        )
    workers.work(prepare_search(config))


if __name__ == "__main__":
    run_script(main)
