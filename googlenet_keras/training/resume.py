"""Where a run stands, what is kept of that, and how it is gone on with."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from googlenet_keras.errors import DiskError, InterruptionError, UserError
from googlenet_keras.files import append_json_line
from googlenet_keras.run_folder import EVENT_KEY, RunFolder
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training import checkpoints, variables
from googlenet_keras.training.callbacks import NonFiniteLossError
from googlenet_keras.training.checkpoints import State
from googlenet_keras.training.ema import AverageWeights
from googlenet_keras.training.optimizer import MomentumSGD
from googlenet_keras.training.replicated import local_value
from googlenet_keras.training.signals import StopRequest

AGREED_STEPS = 4  # between those at which workers ask each other whether to stop
ROLLBACKS = 3  # at most, before a loss that is not finite ends a run
CUT = 0.5  # of the learning rate, at each
AVERAGE, BEST = "average", "best"


@dataclass(frozen=True)
class Piece:
    """Epochs of a run that one fit trains: of the first, `steps` are left."""

    start: tuple[int, int]
    epochs: int
    steps: int


class Continuation(keras.callbacks.Callback):
    """Keeps a run's whole state in its folder, and sets it again.

    It is written before the first step, every `minutes` at the end of a step or an
    epoch, after the last epoch, and when `stop` has been asked, which ends the run with
    InterruptionError; with 0 minutes, never. It must come last of the callbacks. parts:
    the callbacks by name whose get_state and set_state belong to the state. data: what
    must be the same when the run goes on. writes: whether this worker is the one of all
    that writes; each of them reads. restored: called when the variables are set.
    agreed: the largest number that any worker calls it with, where there are several.
    """

    def __init__(
        self,
        folder: Path,
        parts: Mapping[str, keras.callbacks.Callback],
        *,
        steps: int,
        minutes: float,
        stop: StopRequest,
        stopwatch: Stopwatch,
        data: Mapping[str, Any],
        writes: bool = True,
        restored: Callable[[], None] = lambda: None,
        agreed: Callable[[int], int] | None = None,
    ) -> None:
        super().__init__()
        self.epoch = self.step = 0  # those that are done
        self._folder, self._parts, self._steps = folder, parts, steps
        self._seconds, self._stop, self._stopwatch = minutes * 60, stop, stopwatch
        self._data = dict(data)
        self._writes, self._restored, self._agreed = writes, restored, agreed
        self._rollbacks, self._returned = 0, False
        self._waiting: State | None = None  # to be set when training begins
        self._metrics: State | None = None  # and when its epoch does

    def read(self) -> bool:
        """Stands where the newest whole checkpoint does; whether there is one.

        Raises UserError if the data are others now.
        """
        state = self._newest()
        if state is None:
            self._refuse_lost()
            return False
        if state.progress["data"] != self._data:
            raise UserError(
                f"a run goes on with the images it began with: {state.progress['data']}"
                f"; there are {self._data} now. Begin another in a new --run-folder."
            )
        self._stand(state)
        self._rollbacks = state.progress["rollbacks"]
        self._stopwatch.add(*state.progress["spent"])
        self._parts[BEST].set_state(state.progress[BEST])
        return True

    def pieces(self, epochs: int) -> Iterator[Piece]:
        """What is left to do of `epochs`: an epoch in its middle is one by itself."""
        if self.step:
            start = self.epoch, self.step
            yield Piece(start, self.epoch + 1, self._steps - self.step)
        if self.epoch < epochs:
            yield Piece((self.epoch, 0), epochs, self._steps)

    def roll_back(self, reason: NonFiniteLossError, files: Sequence[str]) -> None:
        """Stands at the last checkpoint with half the learning rate, and notes it.

        Raises `reason`, with the names of the batch's `files`, where that was done
        three times before or nothing was kept.
        """
        event = {
            EVENT_KEY: "not finite, back to a checkpoint",
            "epoch": self.epoch + 1,
            "step": self.step + 1,
            "files": list(files),
        }
        state = self._newest()
        if state is None or self._rollbacks == ROLLBACKS:
            raise NonFiniteLossError(
                f"{reason} The batch: {', '.join(files)}."
            ) from reason
        self._rollbacks += 1
        self._returned = True
        self._stand(state)
        event |= {
            "back_to_epoch": self.epoch + 1,
            "back_to_step": self.step + 1,
            "learning_rate_factor": CUT**self._rollbacks,
        }
        if not self._writes:
            return
        append_json_line(RunFolder(self._folder).metrics, event)
        print(
            f"\nstep {event['step']} of epoch {event['epoch']} is not finite; back to "
            f"step {event['back_to_step']} of epoch {event['back_to_epoch']} with "
            f"{event['learning_rate_factor']:g} of the learning rate"
        )

    def on_train_begin(self, logs=None) -> None:
        """Sets the state that was read, or keeps the first one."""
        self._written = time.monotonic()
        first = self._waiting is None and self.epoch == self.step == 0
        if self._waiting:
            self._set(self._waiting)
        if first or self._returned:
            self.write()  # how often it was rolled back must outlive this process
        self._returned = False

    def on_epoch_begin(self, epoch, logs=None) -> None:
        """Gives the epoch's metrics what they had counted."""
        if self._metrics and self.step:
            variables.assign(variables.of_metrics(self.model), self._metrics.tensors)
        self._metrics = None

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Keeps the state where it is time."""
        self.step += 1
        if self.step < self._steps:  # else the epoch's end is near, after validation
            self._keep_if_due()

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Keeps the state where it is time, and at the very end."""
        if self._writes and not RunFolder(self._folder).is_started:
            raise DiskError(f"{self._folder} has been moved or removed.")
        self.epoch, self.step = epoch + 1, 0
        self._keep_if_due(last=self.epoch == self._data["epochs"])

    def write(self) -> None:
        """Writes the state. Raises NonFiniteLossError for one that nobody could use."""
        if not (self._seconds and self._writes):
            return
        tensors = {name: local_value(v) for name, v in self._variables().items()}
        if not all(np.isfinite(x).all() for x in tensors.values()):
            if self._agreed:  # the next step's loss tells all workers at once
                return
            self._undo_step()
            raise NonFiniteLossError(
                "the weights must stay finite; a step made them not."
            )
        checkpoints.write(self._checkpoints, State(tensors, self._progress()))
        self._written = time.monotonic()

    def _undo_step(self) -> None:
        if not self.step:
            self.epoch, self.step = self.epoch - 1, self._steps
        self.step -= 1

    @property
    def _checkpoints(self) -> Path:
        return RunFolder(self._folder).checkpoints

    def _newest(self) -> State | None:
        return checkpoints.newest(self._checkpoints, remove=self._writes)

    def _refuse_lost(self) -> None:
        """Raises UserError where epochs are done that nothing is left of."""
        metrics = RunFolder(self._folder).metrics
        if metrics.is_file() and (done := len(RunFolder(self._folder).read_epochs())):
            raise UserError(
                f"--resume needs a checkpoint, and {self._folder} has none that is "
                f"whole of its {done} epochs. Begin another run in a new --run-folder."
            )

    def _keep_if_due(self, last: bool = False) -> None:
        asked = self._asked()
        late = time.monotonic() - self._written >= self._seconds
        if last or late or asked:
            self.write()
        if asked:
            raise InterruptionError(self.stopped(), asked)

    def stopped(self) -> str:
        """What a run says that was asked to stop."""
        done = f"stopped after {self.epoch} epochs and {self.step} steps"
        if not self._seconds:
            return f"{done}, of which --checkpoint-minutes 0 keeps nothing."
        return f"{done}. {how_to_go_on(self._folder)}"

    def _asked(self) -> int | None:
        """The signal that asks all workers to stop here."""
        if self._agreed is None:
            return self._stop.signal_number
        if self.step % AGREED_STEPS:
            return None
        return self._agreed(self._stop.signal_number or 0) or None

    def _progress(self) -> dict[str, Any]:
        spent = self._stopwatch.spent()
        return {
            "epoch": self.epoch,
            "step": self.step,
            "rollbacks": self._rollbacks,
            "spent": [spent["seconds"], spent["cpu_seconds"]],
            "data": self._data,
            **{name: part.get_state() for name, part in self._parts.items()},
        }

    def _variables(self) -> dict[str, Any]:
        averages: AverageWeights | None = self._parts.get(AVERAGE)
        return variables.of(self.model, averages.variables if averages else ())

    def _stand(self, state: State) -> None:
        self.epoch, self.step = state.progress["epoch"], state.progress["step"]
        self._keep_epochs(self.epoch)
        self._waiting = state

    def _keep_epochs(self, epochs: int) -> None:
        if self._writes:
            RunFolder(self._folder).truncate_epochs(epochs)

    def _set(self, state: State) -> None:
        variables.assign(self._variables(), state.tensors)
        for name, part in self._parts.items():
            if name != BEST:  # what is saved outlives a step back
                part.set_state(state.progress[name])
        optimizer = self.model.optimizer
        scaled: MomentumSGD = getattr(optimizer, "inner_optimizer", optimizer)
        scaled.rate_factor.assign(CUT**self._rollbacks)
        self._restored()
        self._waiting, self._metrics = None, state


def how_to_go_on(folder: Path) -> str:
    """The command that resumes the run in `folder`."""
    quoted = shlex.quote(str(folder))
    return f"Go on with\n  python train.py --resume --run-folder {quoted}"
