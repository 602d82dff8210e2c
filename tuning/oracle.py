"""keras-tuner's search methods, within a budget and safe to interrupt.

keras-tuner has no public way to do some of this. Its private members used here:
Oracle._get_trial_dir, _save_trial, _get_oracle_fname (atomic files), _retry_queue
(resuming), _duplicate, BayesianOptimizationOracle._random_populate_space (no proposal
twice), HyperbandOracle._get_num_brackets, _get_size, _current_bracket, _brackets,
_start_new_bracket (fewer halvings), BaseTuner._is_worker, _get_tuner_fname (workers).
"""

import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus
from sklearn.exceptions import ConvergenceWarning

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.files import write_bytes, write_json
from googlenet_keras.processes import ProcessError
from tuning.job import SearchJob
from tuning.space import Values
from tuning.trial import train_trial
from tuning.trial_log import Status, TrainingFigures, TrialLog

SEARCH_OBJECTIVE = keras_tuner.Objective("val_main_top1", "max")
TUNER_FOLDER, TUNER_STATE_FILE = "tuner", "tuner.json"  # keras-tuner's own
FAILURE_REASON_FILE = "reason.txt"  # in a trial's folder there
HYPERBAND_FACTOR = 2  # half of the trials are promoted, to twice the epochs
ENDED_STATUSES = (TrialStatus.COMPLETED, TrialStatus.FAILED)
POLL_SECONDS = 0.2  # between two requests for work; keras-tuner itself would not wait
Result = TypeVar("Result")


class _BudgetOracle(keras_tuner.Oracle):
    """A mixin: proposes within the budget, writes files atomically and logs trials."""

    job: SearchJob
    log: TrialLog | None  # None in a worker, whose chief writes it
    trials: dict[str, Trial]  # keras-tuner's
    _retry_queue: list[str]

    def create_trial(self, tuner_id: str) -> Trial:
        return _exit_chief_on_error(super().create_trial, tuner_id)

    def update_trial(
        self, trial_id: str, metrics: Mapping[str, float], step: int = 0
    ) -> Trial:
        return _exit_chief_on_error(super().update_trial, trial_id, metrics, step)

    def end_trial(self, trial: Trial) -> None:
        _exit_chief_on_error(super().end_trial, trial)
        _exit_chief_on_error(self._log_trial, trial.trial_id)

    def _log_trial(self, name: str) -> None:
        """Adds an ended trial to the log, once."""
        if self.log is None or name in self.log:
            return
        trial = self.trials[name]
        values = trial.hyperparameters.values
        arch = self.job.space.to_architecture(values)
        reason = Path(self._get_trial_dir(name), FAILURE_REASON_FILE)
        outcome: TrainingFigures | str = "its figures are not finite"
        if trial.status == TrialStatus.COMPLETED:
            outcome = _to_figures(trial, arch)
        elif reason.exists():
            outcome = reason.read_text()
        factor = values.get("learning_rate", 1.0)
        status: Status = trial.status.lower()
        self.log.add(name, status, arch, outcome, learning_rate_factor=factor)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        return self._fit_response(super().populate_space(trial_id))

    def _fit_response(self, response: dict[str, Any]) -> dict[str, Any]:
        """Scales a proposal to the budget."""
        if response.get("values"):
            fitted = self.job.budget.fit(response["values"], self.job.space)
            response["values"] = fitted
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
        self._retry_queue = [
            n for n in self._retry_queue if self.trials[n].status not in ENDED_STATUSES
        ]
        for name, trial in self.trials.items():
            if trial.status in ENDED_STATUSES:
                self._log_trial(name)


def _exit_chief_on_error(function: Callable[..., Result], *arguments: Any) -> Result:
    """Calls `function`; if it fails in a chief, ends this process and so its workers.

    keras-tuner's chief would keep its lock forever and its workers waiting
    (https://github.com/keras-team/keras-tuner/issues/915).
    """
    try:
        return function(*arguments)
    except Exception as error:
        if "chief" not in os.environ.get("KERASTUNER_TUNER_ID", ""):
            raise
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(2)


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
    """Starts many short trials and promotes the better half."""

    def start_within(self, trials: int) -> None:
        """Drops brackets until one trial can get all epochs within `trials` trials."""
        while self._get_num_brackets() > 1 and self._first_bracket_size() > trials:
            self.min_epochs *= self.factor
        self._current_bracket = self._get_num_brackets() - 1
        self._brackets: list[Any] = []
        self._start_new_bracket()

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.hyperband_iterations = self.max_trials  # may be more than at the start

    def _first_bracket_size(self) -> int:
        """Number of trials until one of the first bracket has had all epochs."""
        first = self._get_num_brackets() - 1
        return 1 + sum(self._get_size(first, number) for number in range(first))


def _make_oracle(job: SearchJob, log: TrialLog | None) -> _BudgetOracle:
    """Makes the keras-tuner oracle that the job's options name."""
    config = job.config
    shared: dict[str, Any] = {
        "objective": SEARCH_OBJECTIVE,
        "hyperparameters": job.space.hyperparameters(),
        "seed": config.training.seed + 1,  # keras-tuner takes 0 for none
        "max_consecutive_failed_trials": config.trials + 1,  # never end the search
    }
    oracle: _BudgetOracle
    if config.tuner == "hyperband":
        oracle = _HyperbandOracle(
            max_epochs=config.epochs,
            factor=HYPERBAND_FACTOR,
            hyperband_iterations=config.trials,
            **shared,
        )
        oracle.max_trials = config.trials
        oracle.start_within(config.trials)
    elif config.tuner == "bayesian":
        initial = max(3, math.ceil(config.trials / 3))
        oracle = _BayesianOracle(
            max_trials=config.trials, num_initial_points=initial, **shared
        )
    else:
        oracle = _RandomOracle(max_trials=config.trials, **shared)
    oracle.job, oracle.log, oracle.verbose = job, log, 0
    return oracle


class Tuner(BaseTuner):
    """Asks an oracle, possibly in another process, for trials and trains them.

    train: takes a trial's name and values, gives its figures or raises ProcessError.
    """

    def __init__(
        self,
        job: SearchJob,
        log: TrialLog | None,
        train: Callable[[str, Values], TrainingFigures] | None = None,
    ) -> None:
        self._train = train or partial(train_trial, job)
        super().__init__(
            _make_oracle(job, log), directory=str(job.folder), project_name=TUNER_FOLDER
        )
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
            figures = self._train(trial.trial_id, trial.hyperparameters.values)
        except (ProcessError, UserError, OSError) as error:
            file = Path(self.get_trial_dir(trial.trial_id), FAILURE_REASON_FILE)
            write_bytes(file, str(error).encode())
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        return _to_metrics(figures)

    def save(self) -> None:
        if not self._is_worker():
            self.oracle.save()
        write_json(Path(self._get_tuner_fname()), self.get_state())

    def _get_tuner_fname(self) -> str:
        # one name for all, so that a search resumes with more workers or fewer
        return os.path.join(self.project_dir, TUNER_STATE_FILE)


def _to_metrics(figures: TrainingFigures) -> dict[str, float]:
    """Flattens TrainingFigures to keras-tuner's metrics."""
    top1 = {f"val_{head}_top1": value for head, value in figures["top1"].items()}
    others = {n: x for n, x in figures.items() if n != "top1" and x is not None}
    return top1 | cast(dict[str, float], others)


def _to_figures(trial: Trial, arch: Architecture) -> TrainingFigures:
    """Rebuilds the figures of a completed trial from its metrics."""
    metrics = {n: trial.metrics.get_last_value(n) for n in trial.metrics.metrics}
    heads = ("main", *(head.name for head in arch.heads))
    return {
        "top1": {head: metrics[f"val_{head}_top1"] for head in heads},
        "epochs": int(metrics["epochs"]),
        "seconds": metrics["seconds"],
        "cpu_seconds": metrics["cpu_seconds"],
        "peak_megabytes": metrics.get("peak_megabytes"),
    }
