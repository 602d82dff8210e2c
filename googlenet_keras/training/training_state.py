"""Saves and restores the full training state, and rolls it back after a bad step."""

import logging
import shlex
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from googlenet_keras.data import pipeline
from googlenet_keras.errors import DiskError, InterruptionError, UserError
from googlenet_keras.files import append_json_line, convert
from googlenet_keras.installation import command_line
from googlenet_keras.run_folder import EVENT_KEY, RunFolder
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training import checkpoints
from googlenet_keras.training.callbacks import (
    Logs,
    NonFiniteLossError,
    StatefulCallback,
)
from googlenet_keras.training.checkpoints import State, Variable
from googlenet_keras.training.head_resizing import resize_heads
from googlenet_keras.training.job import TrainingJob
from googlenet_keras.training.model import local_value, separate_dropout_seeds
from googlenet_keras.training.optimizer import AverageWeights, inner_optimizer
from googlenet_keras.training.patience import Patience
from googlenet_keras.training.progress import MAX_ROLLBACKS, Progress
from googlenet_keras.training.signals import StopRequest

STOP_CHECK_STEPS = 4  # between those at which workers ask each other whether to stop
DIGITS = 8  # of a digest, in a message
METRICS_GROUP = "metrics"  # begins the names of the metrics' variables in a checkpoint
ROLLBACK_RATE_FACTOR = 0.5  # on the learning rate, at each rollback
log = logging.getLogger(__name__)


class TrainingState(keras.callbacks.Callback):
    """Saves the full training state in the run folder, and restores it.

    A checkpoint is written before the first step, every --checkpoint-minutes at the end
    of a step or an epoch, after the last epoch, and when `stop` asks the run to stop,
    which then ends with InterruptionError. With 0 minutes none is written. Only the
    chief writes; all workers read. This callback must be the last one. parts: the
    callbacks, by name, whose states belong to the training's: learning, best and, if
    they are asked for, average and patience. epoch, step: those that are done.
    """

    def __init__(
        self,
        job: TrainingJob,
        parts: Mapping[str, StatefulCallback],
        stop: StopRequest,
        stopwatch: Stopwatch,
    ) -> None:
        super().__init__()
        self.epoch = self.step = 0
        self._job, self._distribution, self._folder = job, job.distribution, job.folder
        self._parts, self._stop, self._stopwatch = parts, stop, stopwatch
        self._interval = job.config.checkpoint_minutes * 60
        self._written = time.monotonic()  # the time counts on from fit to fit
        self._steps = job.steps_per_epoch
        self._rollbacks, self._rolled_back = 0, False
        self._pending: State | None = None  # to be restored when fit begins
        self._pending_metrics: State | None = None  # and when its epoch begins

    @property
    def last_epoch(self) -> int:
        """The number of epochs after which training ends."""
        patience = self._patience()
        return patience.last_epoch if patience else self._job.config.epochs

    @property
    def certain_epochs(self) -> int:
        """The number of epochs that are trained even if patience runs out soon."""
        patience = self._patience()
        return patience.certain_epochs(self.epoch) if patience else self.last_epoch

    def resume(self) -> None:
        """Restores the newest intact checkpoint, if there is one.

        Its variables are assigned when fit begins. Raises UserError if the training or
        validation data or a teacher have changed or epochs were lost, and unless all
        workers have done the same steps.
        """
        state, folder = self._newest_checkpoint(), self._folder
        if state:
            self._check_data(state.progress["data"])
            self._rollbacks = state.progress["rollbacks"]
            self._stopwatch.add(*state.progress["spent"])
            self._parts["best"].set_state(state.progress["best"])
        elif self._must_have_checkpoint():
            raise UserError(
                f"--resume requires a checkpoint, and {folder} has no intact one. "
                "Start another run in a new --run-folder."
            )
        self._return_to(state)
        if state and self._distribution.is_chief:
            done = f"{self.epoch} epochs and {self.step} of {self._steps} steps"
            log.info("resuming after %s", done)

    def _check_data(self, saved: Mapping[str, Any]) -> None:
        """Raises UserError unless the data are the `saved` ones."""
        data = self._job.data_identity
        changed = [
            f"{name} {str(was)[:DIGITS]} then and {str(data.get(name))[:DIGITS]} now"
            for name, was in saved.items()
            if data.get(name) != was
        ]
        if changed:
            teachers = ", and its teachers" if "teachers" in saved else ""
            raise UserError(
                "--resume needs the training and validation images that the run "
                f"started with{teachers}: {', '.join(changed)}. Put them back, or "
                "start another run in a new --run-folder."
            )

    def roll_back(self, reason: NonFiniteLossError) -> None:
        """Returns to the last checkpoint with half the learning rate.

        Raises `reason` with the names of the batch's files after three rollbacks, or if
        there is no checkpoint, and UserError unless all workers return to the same.
        """
        epoch, step = self.epoch, self.step
        state = self._newest_checkpoint() if self._rollbacks < MAX_ROLLBACKS else None
        if state:
            self._rollbacks += 1
            self._rolled_back = True
            self._return_to(state)
        files = [
            name
            for split, numbers in self._job.step_images(epoch, step)
            for name in pipeline.image_names(split, numbers)
        ]
        if state is None:
            message = f"{reason} The batch: {', '.join(files)}."
            raise NonFiniteLossError(message) from reason
        if not self._distribution.is_chief:
            return
        factor = ROLLBACK_RATE_FACTOR**self._rollbacks
        event = {
            EVENT_KEY: "not finite, back to a checkpoint",
            "epoch": epoch + 1,
            "step": step + 1,
            "files": list(files),
            "back_to_epoch": self.epoch + 1,
            "back_to_step": self.step + 1,
            "learning_rate_factor": factor,
        }
        append_json_line(self._folder.metrics, event)
        log.info(
            f"\nstep {step + 1} of epoch {epoch + 1} is not finite; back to step "
            f"{self.step + 1} of epoch {self.epoch + 1} with {factor:g} of the "
            "learning rate"
        )

    def carry_over(self) -> None:
        """Lets the next fit, of the network of another stage, restore this state.

        Does nothing if it is going to restore a checkpoint.
        """
        if self._pending:
            return
        # to those of replica 0, as a checkpoint has them
        separate_dropout_seeds(self.model, -self._distribution.first_replica)
        self._pending = self._state()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        state, self._pending = self._pending, None
        if state:
            variables = self._variables()
            tensors = resize_heads(
                state.tensors, variables, self.model, self._average()
            )
            checkpoints.assign_variables(variables, tensors)
            rate_factor = ROLLBACK_RATE_FACTOR**self._rollbacks
            inner_optimizer(self.model).rate_factor.assign(rate_factor)
            separate_dropout_seeds(self.model, self._distribution.first_replica)
            self._pending_metrics = state
        if self._rolled_back or (state is None and self.epoch == self.step == 0):
            self.write()  # the number of rollbacks must outlive this process
        self._rolled_back = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self._pending_metrics and self.step:
            metrics = {
                name: variable
                for name, variable in self._variables().items()
                if name.startswith(METRICS_GROUP)
            }
            checkpoints.assign_variables(metrics, self._pending_metrics.tensors)
        self._pending_metrics = None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.step += 1
        if self.step < self._steps:  # else the epoch ends soon, after validation
            self._write_if_due()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._distribution.is_chief and not self._folder.is_started:
            raise DiskError(f"{self._folder} has been moved or removed.")
        self.epoch, self.step = epoch + 1, 0
        self._write_if_due(last=self.epoch == self.last_epoch)

    def write(self) -> None:
        """Writes a checkpoint. Raises NonFiniteLossError if a weight is not finite."""
        if not (self._interval and self._distribution.is_chief):
            return
        state = self._state()
        if not _is_finite(state.tensors):
            if self._distribution.workers > 1:
                return  # the next step's loss tells all workers at once
            if not self.step:
                self.epoch, self.step = self.epoch - 1, self._steps
            self.step -= 1  # it was not done
            raise NonFiniteLossError(
                "the weights must stay finite; a step made them not."
            )
        checkpoints.write_checkpoint(self._folder.checkpoints, state)
        self._written = time.monotonic()

    def stop_message(self) -> str:
        """The message of a run that was asked to stop."""
        done = f"stopped after {self.epoch} epochs and {self.step} steps"
        if not self._interval:
            return f"{done}; --checkpoint-minutes 0 has kept none of them."
        return f"{done}. {resume_hint(self._folder)}"

    def _must_have_checkpoint(self) -> bool:
        """Whether epochs are done, or the initial weights are not at hand."""
        metrics, job = self._folder.metrics, self._job
        has_epochs = metrics.is_file() and metrics.stat().st_size > 0
        return has_epochs or bool(job.config.weights and not job.start)

    def _newest_checkpoint(self) -> State | None:
        return checkpoints.newest_checkpoint(
            self._folder.checkpoints, self._distribution.is_chief, self._check
        )

    def _check(self, state: State) -> None:
        """Raises UserError for a state that this run cannot have."""
        progress = convert(state.progress, Progress, "its progress")
        epochs, steps = self._job.config.epochs, self._steps
        done = progress["epoch"] * steps + progress["step"]
        if progress["step"] >= steps or done > epochs * steps:
            raise UserError(
                f"it is after {progress['epoch']} epochs and {progress['step']} steps; "
                f"the run has {epochs} epochs of {steps} steps"
            )
        if missing := self._parts.keys() - progress.keys():
            raise UserError(f"it lacks the state of {', '.join(sorted(missing))}")
        if not _is_finite(state.tensors):
            raise UserError("its tensors are not finite")

    def _return_to(self, state: State | None) -> None:
        """Lets the next fit restore `state`. Raises UserError if workers differ."""
        if state:
            self.epoch, self.step = state.progress["epoch"], state.progress["step"]
            for name, part in self._parts.items():
                if name != "best":  # what is saved outlives a rollback
                    part.set_state(state.progress[name])
            self._pending = state
        self._distribution.check_agreement(
            {"epochs done": self.epoch, "steps done": self.step}
        )
        if state and self._distribution.is_chief:
            self._folder.truncate_epochs(self.epoch)

    def _write_if_due(self, last: bool = False) -> None:
        stop_signal = self._stop.signal_number or 0
        if self._distribution.workers > 1:  # all must stop after the same step
            asks = self.step % STOP_CHECK_STEPS == 0
            stop_signal = self._distribution.maximum(stop_signal) if asks else 0
        due = time.monotonic() - self._written >= self._interval
        if last or due or stop_signal:
            self.write()
        if stop_signal:
            raise InterruptionError(self.stop_message(), stop_signal)

    def _state(self) -> State:
        spent = self._stopwatch.spent()
        progress = {
            "epoch": self.epoch,
            "step": self.step,
            "rollbacks": self._rollbacks,
            "spent": [spent["seconds"], spent["cpu_seconds"]],
            "data": self._job.data_identity,
            **{name: part.get_state() for name, part in self._parts.items()},
        }
        tensors = {name: local_value(v) for name, v in self._variables().items()}
        return State(tensors, progress)

    def _patience(self) -> Patience | None:
        part = self._parts.get("patience")
        return part if isinstance(part, Patience) else None

    def _average(self) -> AverageWeights | None:
        part = self._parts.get("average")
        return part if isinstance(part, AverageWeights) else None

    def _variables(self) -> dict[str, Variable]:
        """All variables that training changes, each by a unique name."""
        average = self._average()
        groups = {
            "network": self.model.variables,  # weights and random states
            "optimizer": self.model.optimizer.variables,
            "average": average.variables if average else (),
            METRICS_GROUP: self.model.metrics_variables,
        }
        return {
            f"{group}/{number}/{variable.name}": variable
            for group, variables in groups.items()
            for number, variable in enumerate(variables)
        }


def _is_finite(tensors: Mapping[str, np.ndarray]) -> bool:
    return all(np.isfinite(x).all() for x in tensors.values())


def resume_hint(folder: RunFolder) -> str:
    """The command that resumes the run in `folder`."""
    quoted = shlex.quote(str(folder))
    return f"Resume it with\n  {command_line('train')} --resume --run-folder {quoted}"
