"""keras-tuner's search methods, within a budget and safe to interrupt.

keras-tuner has no public way to do some of this; docs/private-apis.md lists its private
members that are used here.
"""

import copy
import logging
import math
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus
from sklearn.exceptions import ConvergenceWarning

from googlenet_keras.console import print_text
from googlenet_keras.errors import DiskError, UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.tuning.config import SearchConfig
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.oracle_files import OracleState, TrialState
from googlenet_keras.tuning.proposals import Proposals
from googlenet_keras.tuning.space import Values
from googlenet_keras.tuning.trials import TrialLog, TrialRow

SEARCH_OBJECTIVE = keras_tuner.Objective("val_main_loss", "min")
FAILURE_REASON_FILE = "reason.txt"  # in a trial's folder there
HYPERBAND_FACTOR = 2  # half of the trials are promoted, to twice the epochs
ENDED_STATUSES = (TrialStatus.COMPLETED, TrialStatus.FAILED)
log = logging.getLogger(__name__)


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
        print_text(f"error: {error}", sys.stderr)
        os._exit(2)


class _BudgetOracle(keras_tuner.Oracle):
    """A mixin: proposes within the budget, writes files atomically and logs trials."""

    job: SearchJob
    log: TrialLog | None  # None in a worker, whose chief writes it
    proposals: Proposals
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
                "loss": figures[SEARCH_OBJECTIVE.name],
                "top1": {head: figures[f"val_{head}_top1"] for head in heads},
                "images": int(figures["images"]),
                "epochs": int(figures["epochs"]),
                "seconds": figures["seconds"],
                "cpu_seconds": figures["cpu_seconds"],
                "peak_megabytes": figures.get("peak_megabytes"),
            }
        elif reason.is_file():
            outcome = {"reason": reason.read_text() or "it gives no reason"}
        outcome["learning_rate_factor"] = values.get("learning_rate", 1.0)
        outcome["proposal"] = self.proposals.name(values)
        outcome["hyperparameters"] = values  # so that the log can rebuild the trials
        self.log.add(name, trial.status.lower(), arch, **outcome)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Proposes the first proposals, then what the method proposes."""
        response = super().populate_space(trial_id)
        values = response.get("values")
        if values and not values.get("tuner/round"):  # none that Hyperband promotes
            tried = [x.hyperparameters.values for x in self.trials.values()]
            if first := self.proposals.next(tried):
                return response | {"values": values | first}
        return self._fit_response(response)

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

        If keras-tuner's files are damaged or missing, the log rebuilds what ended.
        """
        fresh = copy.deepcopy(self.get_state())
        try:
            self._load()
        except DiskError:
            raise
        except Exception as error:  # a damaged file raises anything
            self.trials = {}
            self.set_state(fresh)
            self._rebuild(error)

    def _load(self) -> None:
        """Reads keras-tuner's files. Raises any error if one is damaged.

        keras-tuner writes a trial before the list of trials, and its end before it is
        off the list of running trials; a search may be killed between.
        """
        read_json(Path(self._get_oracle_fname()), OracleState)
        for path in Path(self._project_dir).glob("trial_*/trial.json"):
            read_json(path, TrialState)
        super().reload()
        self.trials = {name: self.trials[name] for name in self.start_order}
        for trial in self.trials.values():
            self.job.space.to_architecture(trial.hyperparameters.values)
            if trial.status == TrialStatus.COMPLETED and trial.score is None:
                raise UserError(f"trial {trial.trial_id} has no score")
        if lost := self._trials_in_log().keys() - self.trials.keys():
            raise UserError(f"trial {min(lost)} is missing")
        ended = [n for n, t in self.trials.items() if t.status in ENDED_STATUSES]
        self._retry_queue = [n for n in self._retry_queue if n not in ended]
        for name in ended:
            self._log_trial(name)

    def _trials_in_log(self) -> dict[str, TrialRow]:
        """The trials in the log, by name."""
        return {row["trial"]: row for row in self.log.trials()} if self.log else {}

    def _rebuild(self, reason: Exception) -> None:
        """Restores the trials in the log; proposes new ones for numbers in between.

        Raises UserError if the log cannot, since an older version has written it.
        """
        rows = {int(name): row for name, row in self._trials_in_log().items()}
        digits = len(str(self.max_trials))  # of keras-tuner's numbers
        numbers = range(max(rows, default=-1) + 1)
        try:
            for number in sorted(numbers, key=lambda number: number not in rows):
                self._restore(f"{number:0{digits}d}", rows.get(number))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise UserError(
                f"the state of a search must be whole; {self._project_dir} is damaged "
                f"({reason}), and {self.job.folder.trial_log} cannot rebuild it "
                f"({error}). Start another search in a new --run-folder."
            ) from error
        log.warning(
            "%s is damaged (%s); %d trials were restored from %s",
            *(self._project_dir, reason, len(rows), self.job.folder.trial_log),
        )

    def _restore(self, name: str, row: TrialRow | None) -> None:
        """Adds a trial that has ended as `row` says, or one that is to start."""
        values = row["hyperparameters"] if row else self.populate_space(name)["values"]
        self.job.space.to_architecture(values)
        status = row["status"].upper() if row else TrialStatus.RUNNING
        name = row["trial"] if row else name
        trial = Trial(self.hyperparameters.copy(), name, status)
        trial.hyperparameters.values = dict(values)
        self.trials[name] = trial
        self.start_order.append(name)
        (self.end_order if row else self._retry_queue).append(name)
        if row:
            self._run_times[name] = 1
            self._replay(name, values)
        if row and row["top1"]:
            trial.metrics.register(SEARCH_OBJECTIVE.name, SEARCH_OBJECTIVE.direction)
            trial.metrics.update(SEARCH_OBJECTIVE.name, row["loss"])
            self.score_trial(trial)
        self._seed_state += len(self.hyperparameters.space)  # as if it was proposed
        self._record_values(trial)
        self._save_trial(trial)

    def _replay(self, name: str, values: Values) -> None:
        """Adds a restored trial to the search method's own state, if it has one."""


class _RandomOracle(_BudgetOracle, keras_tuner.oracles.RandomSearchOracle):
    """Proposes random widths."""


class _BayesianOracle(_BudgetOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """Proposes widths that a Gaussian process expects to be good."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        with warnings.catch_warnings():
            # a length scale at its limit: nothing that a user could change
            warnings.simplefilter("ignore", ConvergenceWarning)
            return super().populate_space(trial_id)

    def _fit_response(self, response: dict[str, Any]) -> dict[str, Any]:
        """Proposes random widths if the Gaussian process repeats a trial."""
        fitted = super()._fit_response(response)
        if fitted.get("values") and self._duplicate(fitted["values"]):
            return super()._fit_response(self._random_populate_space())
        return fitted


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

    def planned_epochs(self, first: int | None) -> list[int]:
        """The epochs of each trial. first: the first one's bracket, if it has ended."""
        top = self._current_bracket if first is None else first
        bracket, epochs = top, list[int]()
        while len(epochs) < self.max_trials:
            for number in range(bracket + 1):
                count = self._get_size(bracket, number)
                epochs += count * [self._get_epochs(bracket, number)]
            bracket = (bracket - 1) % (top + 1)
        return epochs[: self.max_trials]

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.hyperband_iterations = self.max_trials  # may be more than at the start

    def _replay(self, name: str, values: Values) -> None:
        bracket, number = values["tuner/bracket"], values["tuner/round"]
        if not 0 <= number <= bracket < self._get_num_brackets():
            raise UserError(f"there is no round {number} of bracket {bracket}")
        size = self._get_size(bracket, number)
        while (
            self._current_bracket != bracket
            or len(self._brackets[-1]["rounds"][number]) >= size
        ):
            self._increment_bracket_num()
            self._start_new_bracket()
        past = values["tuner/trial_id"] if number else None
        self._brackets[-1]["rounds"][number].append({"past_id": past, "id": name})


def trial_epochs(config: SearchConfig, trials: Sequence[TrialRow]) -> list[int]:
    """The epochs of each trial of a search, in about their order.

    trials: those that have ended; Hyperband goes on from the first one's bracket.
    """
    assert config.epochs  # resolved
    if config.tuner != "hyperband":
        return [config.epochs] * config.trials
    options = {"objective": SEARCH_OBJECTIVE, "max_epochs": config.epochs}
    oracle = _HyperbandOracle(config.trials, **options)
    values = trials[0].get("hyperparameters", {}) if trials else {}
    return oracle.planned_epochs(values.get("tuner/bracket"))


def make_oracle(job: SearchJob, log: TrialLog | None) -> keras_tuner.Oracle:
    """Makes the oracle of --tuner. log: None in a worker, whose chief writes it."""
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
    oracle.proposals = Proposals(job)
    for name in ("create_trial", "update_trial", "end_trial"):  # what workers call
        setattr(oracle, name, _chief_exits_on_error()(getattr(oracle, name)))
    return oracle
