"""keras-tuner's methods, held within the budget and safe against being killed."""

from __future__ import annotations

import math
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine import trial as trials
from keras_tuner.engine.base_tuner import BaseTuner
from sklearn.exceptions import ConvergenceWarning

from googlenet_keras.errors import UserError
from googlenet_keras.files import write_bytes, write_json
from googlenet_keras.processes import ProcessError
from tuning.budget import Budget
from tuning.config import SearchConfig
from tuning.space import Space

OBJECTIVE = keras_tuner.Objective("val_main_top1", "max")
STATE, FOLDER = "tuner.json", "tuner"  # keras-tuner's own, in the search's folder
REASON = "reason.txt"  # in a trial's folder there
FACTOR = 2  # Hyperband: half of the trials go on, for twice the epochs
ENDED = (trials.TrialStatus.COMPLETED, trials.TrialStatus.FAILED)
PAUSE = 0.2  # seconds between two questions for work, which keras-tuner does not wait
Trial = trials.Trial
Results = dict[str, float]
"""val_<head>_top1 of every head, and what else is to be kept of a trial."""


class _Budgeted(keras_tuner.Oracle):
    """What every method gains here: fitting, whole files, a report of each trial."""

    space: Space
    budget: Budget
    report: Callable[[Trial, str], None]

    def create_trial(self, tuner_id):
        """The next trial."""
        return self._or_end(super().create_trial, tuner_id)

    def update_trial(self, trial_id, metrics, step=0):
        """Takes a trial's figures."""
        return self._or_end(super().update_trial, trial_id, metrics, step)

    def end_trial(self, trial):
        """Keeps the outcome and reports it."""
        self._or_end(super().end_trial, trial)
        self._or_end(self._report, trial.trial_id)

    def _or_end(self, act: Callable, *arguments):
        """What `act` gives; a chief that cannot go on ends, and its workers with it.

        keras-tuner's chief would keep its lock for ever and its workers waiting.
        """
        try:
            return act(*arguments)
        except Exception as error:
            if "chief" not in os.environ.get("KERASTUNER_TUNER_ID", ""):
                raise
            print(f"error: {error}", file=sys.stderr, flush=True)
            os._exit(2)

    def _report(self, name: str) -> None:
        file = Path(self._get_trial_dir(name), REASON)
        self.report(self.trials[name], file.read_text() if file.exists() else "")

    def populate_space(self, trial_id):
        """Proposes values that keep the budget."""
        response = super().populate_space(trial_id)
        if response.get("values"):
            response["values"] = self.budget.fitted(response["values"], self.space)
        return response

    def _duplicate(self, values):
        """Whether `values`, once fitted, were proposed before."""
        return super()._duplicate(self.budget.fitted(values, self.space))

    def save(self):
        """Writes the state whole or not at all; keras-tuner's own may be cut."""
        write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial):
        path = Path(self._get_trial_dir(trial.trial_id), "trial.json")
        write_json(path, trial.get_state())

    def reload(self):
        """Goes on after the last trial that ended; the one that ran begins again.

        keras-tuner writes a trial before the list of trials, and its end before it is
        off the list of those that run; a search may be killed between.
        """
        super().reload()
        self.trials = {n: t for n, t in self.trials.items() if n in self.start_order}
        self._retry_queue = [
            n for n in self._retry_queue if self.trials[n].status not in ENDED
        ]
        for name, trial in self.trials.items():
            if trial.status in ENDED:
                self._report(name)


class _Random(_Budgeted, keras_tuner.oracles.RandomSearchOracle):
    """Random proportions."""


class _Bayesian(_Budgeted, keras_tuner.oracles.BayesianOptimizationOracle):
    """Proportions that a Gaussian process expects to be good."""

    def populate_space(self, trial_id):
        """Random ones where the process proposes what was tried."""
        with warnings.catch_warnings():
            # a length scale at its limit: nothing that a user could change
            warnings.simplefilter("ignore", ConvergenceWarning)
            response = super().populate_space(trial_id)
        if response.get("values") and self._duplicate(response["values"]):
            response = self._random_populate_space()
            if response["values"]:
                response["values"] = self.budget.fitted(response["values"], self.space)
        return response


class _Hyperband(_Budgeted, keras_tuner.oracles.HyperbandOracle):
    """Many short trials, of which the better half goes on."""

    def begin_within(self, trials: int) -> None:
        """Begins with the most halvings that `trials` trials take to the last epoch."""
        while self._get_num_brackets() > 1 and self._first_bracket() > trials:
            self.min_epochs *= self.factor
        self._current_bracket = self._get_num_brackets() - 1
        self._brackets = []
        self._start_new_bracket()

    def set_state(self, state):
        """Goes on from `state`; there may be more trials now than it began with."""
        super().set_state(state)
        self.hyperband_iterations = self.max_trials

    def _first_bracket(self) -> int:
        """Trials until one of the first bracket has had all epochs."""
        first = self._get_num_brackets() - 1
        return 1 + sum(self._get_size(first, number) for number in range(first))


def oracle(
    config: SearchConfig,
    space: Space,
    budget: Budget,
    report: Callable[[Trial, str], None],
) -> _Budgeted:
    """keras-tuner's method that `config` names.

    `report` gets each trial that ends and, of one that failed, the reason.
    """
    shared: dict[str, Any] = {
        "objective": OBJECTIVE,
        "hyperparameters": space.hyperparameters(),
        "seed": config.seed + 1,  # keras-tuner takes 0 for none
        "max_consecutive_failed_trials": config.trials + 1,  # never the search's end
    }
    if config.tuner == "hyperband":
        made: _Budgeted = _Hyperband(
            max_epochs=config.epochs,
            factor=FACTOR,
            hyperband_iterations=config.trials,
            **shared,
        )
        made.max_trials = config.trials
        made.begin_within(config.trials)
    elif config.tuner == "bayesian":
        first = max(3, math.ceil(config.trials / 3))
        made = _Bayesian(max_trials=config.trials, num_initial_points=first, **shared)
    else:
        made = _Random(max_trials=config.trials, **shared)
    made.space, made.budget, made.report = space, budget, report
    made.verbose = 0
    return made


class Tuner(BaseTuner):
    """Asks an oracle, which may be another process's, for trials and runs them.

    run: trains what the values of a trial stand for; gives its results or raises
    ProcessError. The reason is left in a file: keras-tuner sends the chief none.
    """

    def __init__(
        self,
        made: _Budgeted,
        folder: Path,
        run: Callable[[str, dict[str, Any]], Results],
    ) -> None:
        self._run = run
        super().__init__(made, directory=str(folder), project_name=FOLDER)
        if not self._is_worker():
            self.save()  # or a search killed in its first trials would begin again

    def is_done(self) -> bool:
        """Whether every trial has ended."""
        waiting = self.oracle.ongoing_trials or self.oracle._retry_queue
        return self.remaining_trials <= 0 and not waiting

    def pre_create_trial(self):
        """Leaves the chief in peace while there is nothing to do."""
        time.sleep(PAUSE)

    def run_trial(self, trial, *_, **__):
        """The figures of one trial."""
        try:
            return self._run(trial.trial_id, trial.hyperparameters.values)
        except (ProcessError, UserError, OSError) as error:
            file = Path(self.get_trial_dir(trial.trial_id), REASON)
            write_bytes(file, str(error).encode())
            raise keras_tuner.errors.FailedTrialError(str(error)) from error

    def save(self):
        """Writes the state whole or not at all."""
        if not self._is_worker():
            self.oracle.save()
        write_json(Path(self._get_tuner_fname()), self.get_state())

    def _get_tuner_fname(self):
        # one name for all, so that a search goes on with more workers or fewer
        return os.path.join(self.project_dir, STATE)
