"""A whole width search: baselines, trials within the budget, the race, the winner."""

import logging
from typing import TYPE_CHECKING

from googlenet_keras.errors import UserError
from googlenet_keras.installation import EXTRAS, require
from googlenet_keras.tuning import workers
from googlenet_keras.tuning.config import SearchConfig

if TYPE_CHECKING:  # TensorFlow would slow down --help
    from googlenet_keras.tuning.outcome import SearchResult

log = logging.getLogger(__name__)


def search(config: SearchConfig) -> "SearchResult":
    """Runs a whole search: proposes, trains and compares networks within the budget.

    The network that it hands over is that of even width, unless another one was better
    in a race with 95 % confidence.

    The run folder has trials.jsonl, best_architecture.json and pareto.png. Raises
    UserError, before the folder is made if that can be known.
    """
    require("search", "search", EXTRAS["search"])
    if config.retrain:
        require("search --retrain", "export", EXTRAS["export"])
    from googlenet_keras.tuning.finalists import choose_finalists
    from googlenet_keras.tuning.job import prepare_search
    from googlenet_keras.tuning.outcome import write_result
    from googlenet_keras.tuning.proposals import (
        check_proposing_network,
        prepare_proposals,
    )
    from googlenet_keras.tuning.race import Race
    from googlenet_keras.tuning.trainings import retrain_best, train_baselines
    from googlenet_keras.tuning.trials import TrialLog
    from googlenet_keras.tuning.tuner import Tuner

    check_proposing_network(config)
    job = prepare_search(config)
    with job.folder.lock():
        trials = TrialLog(job)  # raises for an older version's
        job.save_options()
        log.info("run folder %s", job.folder)
        prepare_proposals(job)
        tuner = Tuner(job, trials)
        train_baselines(job, trials)
        if not tuner.is_done():
            if workers.role() == "chief":
                log.info("waiting for workers")
            with workers.local_workers(job):
                tuner.search()
        if not tuner.is_done():
            log.info(
                f"ended before {config.trials} trials: nothing new fits the budget"
            )
        trials.check_any_completed()
        race = None
        if config.finalists:
            race = Race(job, trials, choose_finalists(job, trials))
            race.run()
        result = write_result(job, trials, race)
        if config.retrain:
            retrain_best(job, result["best"])
    return result


def work(config: SearchConfig) -> None:
    """Trains what the chief of the search in --run-folder proposes."""
    from googlenet_keras.tuning.job import prepare_search

    if not config.resume:
        raise UserError(
            "a worker takes its options from the chief's run folder; give it "
            "--resume --run-folder FOLDER and nothing else."
        )
    workers.work(prepare_search(config))
