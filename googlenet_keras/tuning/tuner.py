"""keras-tuner's loop over trials, in the search's process or in a worker."""

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial

from googlenet_keras.errors import UserError
from googlenet_keras.files import write_bytes, write_json
from googlenet_keras.processes import ProcessError
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.oracle import (
    FAILURE_REASON_FILE,
    SEARCH_OBJECTIVE,
    make_oracle,
)
from googlenet_keras.tuning.trainings import train_trial
from googlenet_keras.tuning.trials import TrialLog

TUNER_FOLDER, TUNER_STATE_FILE = "tuner", "tuner.json"  # keras-tuner's own
POLL_SECONDS = 0.2  # between two requests for work; keras-tuner itself would not wait


class Tuner(BaseTuner):
    """Asks an oracle, possibly in another process, for trials and trains them."""

    def __init__(self, job: SearchJob, log: TrialLog | None) -> None:
        self.train = partial(train_trial, job)
        oracle = make_oracle(job, log)
        if log and log.trials():  # without this file keras-tuner would not resume
            folder = job.folder.path / TUNER_FOLDER
            folder.mkdir(exist_ok=True)
            write_json(folder / TUNER_STATE_FILE, {})
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
        metrics[SEARCH_OBJECTIVE.name] = metrics.pop("loss")
        metrics |= {f"val_{head}_top1": value for head, value in top1.items()}
        return {name: value for name, value in metrics.items() if value is not None}

    def save(self) -> None:
        if not self._is_worker():
            self.oracle.save()
        write_json(Path(self._get_tuner_fname()), self.get_state())

    def reload(self) -> None:
        if not self._is_worker():
            self.oracle.reload()  # the tuner itself has no state

    def _get_tuner_fname(self) -> str:
        # one name for all, so that a search resumes with more workers or fewer
        return os.path.join(self.project_dir, TUNER_STATE_FILE)
