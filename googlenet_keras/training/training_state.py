"""Saves and restores the full training state, and rolls it back after a bad step."""

import logging
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import keras
import numpy as np

from googlenet_keras.errors import DiskError, InterruptionError, UserError
from googlenet_keras.files import append_json_line
from googlenet_keras.run_folder import EVENT_KEY, RunFolder
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training import checkpoints
from googlenet_keras.training.callbacks import (
    Logs,
    NonFiniteLossError,
    StatefulCallback,
)
from googlenet_keras.training.checkpoints import State, Variable
from googlenet_keras.training.job import DataIdentity, TrainingJob
from googlenet_keras.training.model import local_value, separate_dropout_seeds
from googlenet_keras.training.optimizer import AverageWeights
from googlenet_keras.training.signals import StopRequest

STOP_CHECK_STEPS = 4  # between those at which workers ask each other whether to stop
MAX_ROLLBACKS = 3  # before a loss that is not finite ends a run
ROLLBACK_RATE_FACTOR = 0.5  # on the learning rate, at each rollback
log = logging.getLogger(__name__)


class Progress(TypedDict):
    """The progress and the callbacks' states in a checkpoint, besides the tensors.

    epoch, step: those that are done. spent: wall and CPU seconds. The others are the
    states of callbacks.
    """

    epoch: int
    step: int
    rollbacks: int
    spent: list[float]
    data: DataIdentity
    learning: dict[str, Any]
    average: NotRequired[dict[str, Any]]
    best: dict[str, Any]


@dataclass(frozen=True)
class Segment:
    """Epochs that one call of fit trains; the first has `steps` steps left."""

    start: tuple[int, int]
    epochs: int
    steps: int


class TrainingState(keras.callbacks.Callback):
    """Saves the full training state in the run folder, and restores it.

    A checkpoint is written before the first step, every --checkpoint-minutes at the end
    of a step or an epoch, after the last epoch, and when `stop` asks the run to stop,
    which then ends with InterruptionError. With 0 minutes none is written. Only the
    chief writes; all workers read. This callback must be the last one. parts: the
    callbacks, by name, whose states belong to the training's.
    """

    def __init__(
        self,
        job: TrainingJob,
        parts: Mapping[str, StatefulCallback],
        stop: StopRequest,
        stopwatch: Stopwatch,
    ) -> None:
        super().__init__()
        self.epoch = self.step = 0  # those that are done
        self._job, self._parts, self._stop, self._stopwatch = (
            job,
            parts,
            stop,
            stopwatch,
        )
        self._interval = job.config.checkpoint_minutes * 60
        self._steps = job.steps_per_epoch
        self._rollbacks, self._rolled_back = 0, False
        self._pending: State | None = None  # to be restored when fit begins
        self._pending_metrics: State | None = None  # and when its epoch begins

    def read(self) -> bool:
        """Reads the newest intact checkpoint; returns False if there is none.

        Raises UserError if the training data have changed.
        """
        state = self._newest()
        if state is None:
            self._refuse_lost_epochs()
            return False
        if state.progress["data"] != self._job.data_identity:
            raise UserError(
                "--resume needs the training images that the run started with: "
                f"{state.progress['data']}; there are {self._job.data_identity} now. "
                "Start another run in a new --run-folder."
            )
        self._restore_later(state)
        self._rollbacks = state.progress["rollbacks"]
        self._stopwatch.add(*state.progress["spent"])
        self._parts["best"].set_state(state.progress["best"])
        return True

    def segments(self) -> Iterator[Segment]:
        """Yields the segments left to train; an unfinished epoch is one of its own."""
        if self.step:
            start = self.epoch, self.step
            yield Segment(start, self.epoch + 1, self._steps - self.step)
        if self.epoch < self._job.config.epochs:
            yield Segment((self.epoch, 0), self._job.config.epochs, self._steps)

    def roll_back(self, reason: NonFiniteLossError, files: Sequence[str]) -> None:
        """Returns to the last checkpoint with half the learning rate.

        files: of the batch that the loss was not finite for. Raises `reason` with their
        names after three rollbacks, or if there is no checkpoint.
        """
        event = {
            EVENT_KEY: "not finite, back to a checkpoint",
            "epoch": self.epoch + 1,
            "step": self.step + 1,
            "files": list(files),
        }
        state = self._newest()
        if state is None or self._rollbacks == MAX_ROLLBACKS:
            message = f"{reason} The batch: {', '.join(files)}."
            raise NonFiniteLossError(message) from reason
        self._rollbacks += 1
        self._rolled_back = True
        self._restore_later(state)
        event |= {
            "back_to_epoch": self.epoch + 1,
            "back_to_step": self.step + 1,
            "learning_rate_factor": ROLLBACK_RATE_FACTOR**self._rollbacks,
        }
        if self._is_chief:
            append_json_line(self._job.folder.metrics, event)
            log.info(
                f"\nstep {event['step']} of epoch {event['epoch']} is not finite; back "
                f"to step {event['back_to_step']} of epoch {event['back_to_epoch']} "
                f"with {event['learning_rate_factor']:g} of the learning rate"
            )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._written = time.monotonic()
        first = self._pending is None and self.epoch == self.step == 0
        if self._pending:
            self._restore(self._pending)
        if first or self._rolled_back:
            self.write()  # the number of rollbacks must outlive this process
        self._rolled_back = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self._pending_metrics and self.step:
            metrics = checkpoints.metric_variables(self.model)
            checkpoints.assign_variables(metrics, self._pending_metrics.tensors)
        self._pending_metrics = None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.step += 1
        if self.step < self._steps:  # else the epoch ends soon, after validation
            self._write_if_due()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._is_chief and not self._job.folder.is_started:
            raise DiskError(f"{self._job.folder} has been moved or removed.")
        self.epoch, self.step = epoch + 1, 0
        self._write_if_due(last=self.epoch == self._job.config.epochs)

    def write(self) -> None:
        """Writes a checkpoint. Raises NonFiniteLossError if a weight is not finite."""
        if not (self._interval and self._is_chief):
            return
        tensors = {name: local_value(v) for name, v in self._variables().items()}
        if not all(np.isfinite(x).all() for x in tensors.values()):
            if self._job.distribution.workers > 1:
                return  # the next step's loss tells all workers at once
            self._undo_step()
            raise NonFiniteLossError(
                "the weights must stay finite; a step made them not."
            )
        state = State(tensors, self._progress())
        checkpoints.write_checkpoint(self._job.folder.checkpoints, state)
        self._written = time.monotonic()

    def stop_message(self) -> str:
        """The message of a run that was asked to stop."""
        done = f"stopped after {self.epoch} epochs and {self.step} steps"
        if not self._interval:
            return f"{done}; --checkpoint-minutes 0 has kept none of them."
        return f"{done}. {resume_hint(self._job.folder)}"

    @property
    def _is_chief(self) -> bool:
        return self._job.distribution.is_chief

    def _undo_step(self) -> None:
        if not self.step:
            self.epoch, self.step = self.epoch - 1, self._steps
        self.step -= 1

    def _newest(self) -> State | None:
        folder = self._job.folder.checkpoints
        return checkpoints.newest_checkpoint(folder, remove=self._is_chief)

    def _refuse_lost_epochs(self) -> None:
        folder = self._job.folder
        if folder.metrics.is_file() and (epochs := len(folder.read_epochs())):
            raise UserError(
                f"--resume requires a checkpoint, and {folder} has no intact one of "
                f"its {epochs} epochs. Start another run in a new --run-folder."
            )

    def _write_if_due(self, last: bool = False) -> None:
        stop_signal = self._agreed_stop()
        due = time.monotonic() - self._written >= self._interval
        if last or due or stop_signal:
            self.write()
        if stop_signal:
            raise InterruptionError(self.stop_message(), stop_signal)

    def _agreed_stop(self) -> int | None:
        """The signal for which all workers stop after this step, if any."""
        number = self._stop.signal_number
        if self._job.distribution.workers == 1:
            return number
        if self.step % STOP_CHECK_STEPS:
            return None
        return self._job.distribution.maximum(number or 0) or None

    def _progress(self) -> Progress:
        spent = self._stopwatch.spent()
        progress = Progress(
            epoch=self.epoch,
            step=self.step,
            rollbacks=self._rollbacks,
            spent=[spent["seconds"], spent["cpu_seconds"]],
            data=self._job.data_identity,
            learning=self._parts["learning"].get_state(),
            best=self._parts["best"].get_state(),
        )
        if "average" in self._parts:
            progress["average"] = self._parts["average"].get_state()
        return progress

    def _variables(self) -> dict[str, Variable]:
        average = self._parts.get("average")
        averages = average.variables if isinstance(average, AverageWeights) else ()
        return checkpoints.network_variables(self.model, averages)

    def _restore_later(self, state: State) -> None:
        self.epoch, self.step = state.progress["epoch"], state.progress["step"]
        if self._is_chief:
            self._job.folder.truncate_epochs(self.epoch)
        self._pending = state

    def _restore(self, state: State) -> None:
        checkpoints.assign_variables(self._variables(), state.tensors)
        for name, part in self._parts.items():
            if name != "best":  # what is saved outlives a rollback
                part.set_state(state.progress[name])
        optimizer = self.model.optimizer
        inner = getattr(optimizer, "inner_optimizer", optimizer)  # of loss scaling
        inner.rate_factor.assign(ROLLBACK_RATE_FACTOR**self._rollbacks)
        separate_dropout_seeds(self.model, self._job.distribution.first_replica)
        self._pending, self._pending_metrics = None, state


def resume_hint(folder: RunFolder) -> str:
    """The command that resumes the run in `folder`."""
    quoted = shlex.quote(str(folder))
    return f"Resume it with\n  python train.py --resume --run-folder {quoted}"
