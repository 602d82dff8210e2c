"""keras-tuner's search methods, within a budget and safe to interrupt.

keras-tuner has no public way to do some of this; docs/private-apis.md lists its private
members that are used here.
"""

import math
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus
from sklearn.exceptions import ConvergenceWarning

from googlenet_keras.errors import UserError
from googlenet_keras.files import write_bytes, write_json
from googlenet_keras.processes import ProcessError
from tuning.job import SearchJob
from tuning.space import Values
from tuning.trials import TrialLog, train_trial

SEARCH_OBJECTIVE = keras_tuner.Objective("val_main_top1", "max")
TUNER_FOLDER, TUNER_STATE_FILE = "tuner", "tuner.json"  # keras-tuner's own
FAILURE_REASON_FILE = "reason.txt"  # in a trial's folder there
HYPERBAND_FACTOR = 2  # half of the trials are promoted, to twice the epochs
ENDED_STATUSES = (TrialStatus.COMPLETED, TrialStatus.FAILED)
POLL_SECONDS = 0.2  # between two requests for work; keras-tuner itself would not wait


@contextmanager
def _chief_exits_on_error() -> Iterator[None]:
    """Ends this process, and so its workers, if the block fails in a chief.

    keras-tuner's chief would keep its lock forever and its workers waiting
    (https://github.com/keras-team/keras-tuner/issues/915).
    """
    try:
        yield
    except Exception as error:
        if "chief" not in os.environ.get("KERASTUNER_TUNER_ID", ""):
            raise
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(2)


class _BudgetOracle(keras_tuner.Oracle):
    """A mixin: proposes within the budget, writes files atomically and logs trials."""

    job: SearchJob
    log: TrialLog | None  # None in a worker, whose chief writes it
    trials: dict[str, Trial]  # keras-tuner's
    _retry_queue: list[str]

    def end_trial(self, trial: Trial) -> None:
        super().end_trial(trial)
        self._log_trial(trial.trial_id)

    def _log_trial(self, name: str) -> None:
        """Adds an ended trial to the log, once."""
        if self.log is None or name in self.log:
            return
        trial = self.trials[name]
        values = trial.hyperparameters.values
        arch = self.job.space.to_architecture(values)
        reason = Path(self._get_trial_dir(name), FAILURE_REASON_FILE)
        outcome: dict[str, Any] = {"reason": "its figures are not finite"}
        if trial.status == TrialStatus.COMPLETED:
            metrics = trial.metrics
            figures = {n: metrics.get_last_value(n) for n in metrics.metrics}
            heads = ("main", *(head.name for head in arch.heads))
            outcome = {
                "top1": {head: figures[f"val_{head}_top1"] for head in heads},
                "epochs": int(figures["epochs"]),
                "seconds": figures["seconds"],
                "cpu_seconds": figures["cpu_seconds"],
                "peak_megabytes": figures.get("peak_megabytes"),
            }
        elif reason.exists():
            outcome = {"reason": reason.read_text()}
        outcome["learning_rate_factor"] = values.get("learning_rate", 1.0)
        self.log.add(name, trial.status.lower(), arch, **outcome)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        return self._fit_response(super().populate_space(trial_id))

    def _fit_response(self, response: dict[str, Any]) -> dict[str, Any]:
        """Scales a proposal to the budget."""
        if values := response.get("values"):
            response["values"] = self.job.budget.fit(values, self.job.space)
        return response

    def _duplicate(self, values: Values) -> bool:
        return super()._duplicate(self.job.budget.fit(values, self.job.space))

    def save(self) -> None:
        write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Trial) -> None:
        path = Path(self._get_trial_dir(trial.trial_id), "trial.json")
        write_json(path, trial.get_state())

    def reload(self) -> None:
        """Resumes after the last trial that ended; a running one starts again.

        keras-tuner writes a trial before the list of trials, and its end before it is
        off the list of running trials; a search may be killed between.
        """
        super().reload()
        self.trials = {n: t for n, t in self.trials.items() if n in self.start_order}
        ended = [n for n, t in self.trials.items() if t.status in ENDED_STATUSES]
        self._retry_queue = [n for n in self._retry_queue if n not in ended]
        for name in ended:
            self._log_trial(name)


class _RandomOracle(_BudgetOracle, keras_tuner.oracles.RandomSearchOracle):
    """Proposes random widths."""


class _BayesianOracle(_BudgetOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """Proposes widths that a Gaussian process expects to be good."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Proposes random widths if the Gaussian process repeats a trial."""
        with warnings.catch_warnings():
            # a length scale at its limit: nothing that a user could change
            warnings.simplefilter("ignore", ConvergenceWarning)
            response = super().populate_space(trial_id)
        if response.get("values") and self._duplicate(response["values"]):
            return self._fit_response(self._random_populate_space())
        return response


class _HyperbandOracle(_BudgetOracle, keras_tuner.oracles.HyperbandOracle):
    """Starts many short trials and promotes the better half.

    Brackets are dropped until one trial can get all epochs within `max_trials` trials.
    """

    def __init__(self, max_trials: int, **options: Any) -> None:
        super().__init__(
            factor=HYPERBAND_FACTOR, hyperband_iterations=max_trials, **options
        )
        self.max_trials = max_trials
        first = self._get_num_brackets() - 1
        while 1 + sum(self._get_size(first, n) for n in range(first)) > max_trials:
            self.min_epochs *= self.factor
            first = self._get_num_brackets() - 1
        self._current_bracket, self._brackets = first, list[Any]()
        self._start_new_bracket()

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.hyperband_iterations = self.max_trials  # may be more than at the start


class Tuner(BaseTuner):
    """Asks an oracle, possibly in another process, for trials and trains them."""

    def __init__(self, job: SearchJob, log: TrialLog | None) -> None:
        self.train = partial(train_trial, job)
        oracle = _make_oracle(job, log)
        super().__init__(oracle, directory=job.folder.path, project_name=TUNER_FOLDER)
        if not self._is_worker():
            self.save()  # or a search killed in its first trials would start again

    def is_done(self) -> bool:
        """Whether every trial has ended."""
        waiting = self.oracle.ongoing_trials or self.oracle._retry_queue
        return self.remaining_trials <= 0 and not waiting

    def pre_create_trial(self) -> None:
        time.sleep(POLL_SECONDS)

    def run_trial(self, trial: Trial, *_: Any, **__: Any) -> dict[str, float]:
        """Trains a trial; writes the reason for a failure to a file.

        keras-tuner would not send the reason to the chief.
        """
        try:
            figures = self.train(trial.trial_id, trial.hyperparameters.values)
        except (ProcessError, UserError, OSError) as error:
            file = Path(self.get_trial_dir(trial.trial_id), FAILURE_REASON_FILE)
            write_bytes(file, str(error).encode())
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        metrics: dict[str, Any] = {**figures}
        top1 = metrics.pop("top1")
        metrics |= {f"val_{head}_top1": value for head, value in top1.items()}
        return {name: value for name, value in metrics.items() if value is not None}

    def save(self) -> None:
        if not self._is_worker():
            self.oracle.save()
        write_json(Path(self._get_tuner_fname()), self.get_state())

    def _get_tuner_fname(self) -> str:
        # one name for all, so that a search resumes with more workers or fewer
        return os.path.join(self.project_dir, TUNER_STATE_FILE)


def _make_oracle(job: SearchJob, log: TrialLog | None) -> _BudgetOracle:
    trials = job.config.trials
    initial = max(3, math.ceil(trials / 3))
    kinds: dict[str, tuple[type[_BudgetOracle], dict[str, Any]]] = {
        "hyperband": (_HyperbandOracle, {"max_epochs": job.config.epochs}),
        "bayesian": (_BayesianOracle, {"num_initial_points": initial}),
        "random": (_RandomOracle, {}),
    }
    kind, options = kinds[job.config.tuner]
    oracle = kind(
        objective=SEARCH_OBJECTIVE,
        hyperparameters=job.space.hyperparameters(),
        seed=job.config.training.seed + 1,  # keras-tuner takes 0 for none
        max_trials=trials,
        max_consecutive_failed_trials=trials + 1,  # never end the search
        **options,
    )
    oracle.job, oracle.log, oracle.verbose = job, log, 0
    for name in ("create_trial", "update_trial", "end_trial"):  # what workers call
        setattr(oracle, name, _chief_exits_on_error()(getattr(oracle, name)))
    return oracle
