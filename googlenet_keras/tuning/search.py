"""A whole width search: baselines, trials within the budget, the race, the winner."""

import sys
import time
from typing import TYPE_CHECKING

from googlenet_keras.errors import UserError
from googlenet_keras.installation import EXTRAS, require
from googlenet_keras.tuning import workers
from googlenet_keras.tuning.config import SearchConfig

if TYPE_CHECKING:  # TensorFlow would slow down --help
    from googlenet_keras.tuning.family import FamilyResult
    from googlenet_keras.tuning.outcome import SearchResult


def search(config: SearchConfig) -> "SearchResult | FamilyResult":
    """Runs a whole search: proposes, trains and compares networks within the budget.

    The network that it hands over is that of even width, unless another one was better
    in a race with 95 % confidence. Several budgets have a search each.

    The run folder has trials.jsonl, best_architecture.json and pareto.png. Raises
    UserError, before the folder is made if that can be known; exits with status 1 if
    a check of --retrain fails.
    """
    began = time.monotonic()
    require("search", "search", EXTRAS["search"])
    if config.retrain:
        require("search --retrain", "export", EXTRAS["export"])
    if workers.role() == "chief":
        _refuse_machines(config)
    from googlenet_keras.tuning.family import prepare_family, write_family_result
    from googlenet_keras.tuning.proposals import check_proposing_network
    from googlenet_keras.tuning.running import run_searches

    check_proposing_network(config)
    family = prepare_family(config)
    with family.lock():
        family.save_options()
        finished = run_searches(family.jobs, began, config.minutes)
        is_family = len(finished) > 1
        table = write_family_result(family, finished) if is_family else None
    if not all(x.passed for x in finished):
        sys.exit(1)
    return table or finished[0].result


def work(config: SearchConfig) -> None:
    """Trains what the chief of the search in --run-folder proposes."""
    from googlenet_keras.tuning.job import prepare_search

    if not config.resume:
        raise UserError(
            "a worker takes its options from the chief's run folder; give it "
            "--resume --run-folder FOLDER and nothing else."
        )
    _refuse_machines(config)
    workers.work(prepare_search(config))


def _refuse_machines(config: SearchConfig) -> None:
    """Raises UserError for options that a search on several machines cannot have."""
    if len(config.split()) > 1:
        raise UserError(
            "a search on several machines has one budget; give each budget a search "
            "of its own."
        )
    if config.minutes:
        raise UserError(
            "--minutes measures one machine, and the others of a search may be faster "
            f"or slower; leave out --minutes {config.minutes:g}."
        )
