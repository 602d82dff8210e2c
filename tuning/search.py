"""Searches the filter widths that suit a budget best.

`python -m tuning.search --help` lists the options.
"""

import logging
from typing import TYPE_CHECKING

from googlenet_keras.console import run_script
from googlenet_keras.errors import UserError
from tuning import workers
from tuning.config import SearchConfig, read_search_flags

if TYPE_CHECKING:  # TensorFlow would slow down --help
    from tuning.outcome import SearchResult

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


def search(config: SearchConfig) -> "SearchResult":
    """Runs a whole search: proposes, trains and compares networks within the budget.

    The run folder has trials.jsonl, best_architecture.json and pareto.png. Raises
    UserError, before the folder is made if that can be known.
    """
    from tuning.job import prepare_search
    from tuning.oracle import Tuner
    from tuning.outcome import write_result
    from tuning.trials import TrialLog, retrain_best, train_baselines

    job = prepare_search(config)
    with job.folder.lock():
        job.save_options()
        log.info("run folder %s", job.folder)
        trials = TrialLog(job)
        tuner = Tuner(job, trials)
        if not tuner.is_done():
            with workers.local_workers(job):
                tuner.search()
        if not tuner.is_done():
            log.info(
                f"ended before {config.trials} trials: nothing new fits the budget"
            )
        trials.check_any_completed()
        train_baselines(job, trials)
        result = write_result(job, trials)
        if config.retrain:
            retrain_best(job, result["best"])
    return result


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
