"""Patience: ends a training early, with the end of its learning rate schedule."""

import logging
import math
from contextlib import suppress

from googlenet_keras.training.callbacks import Logs, StatefulCallback
from googlenet_keras.training.optimizer import inner_optimizer

# of all epochs; with a decay of a fifth, ending at any time costs nothing against a
# whole cosine decay of the same length (arXiv 2405.18392)
FINAL_DECAY_FRACTION = 0.2
log = logging.getLogger(__name__)


class Patience(StatefulCallback):
    """Skips to the end of the schedule when the validation loss no longer improves.

    After `patience` epochs without a smaller cross-entropy of the main head, the
    learning rate jumps to the last fifth of its schedule, which is then trained as
    planned: a network whose rate has not come down is less accurate. It happens once.
    epochs: those planned. steps: of an epoch. skipped_epochs: 0 until then. This
    callback must come after those that record the learning rate of an epoch.
    """

    STATE = ("best_loss", "waited_epochs", "skipped_epochs")

    def __init__(self, patience: int, epochs: int, steps: int, logs: bool) -> None:
        super().__init__()
        self._patience, self._epochs, self._steps = patience, epochs, steps
        self._logs = logs  # of several workers, the chief only
        self._final_epochs = math.ceil(FINAL_DECAY_FRACTION * epochs)
        self.best_loss = math.inf
        self.waited_epochs = self.skipped_epochs = 0

    @property
    def last_epoch(self) -> int:
        """The number of epochs after which training ends, unless they become fewer."""
        return self._epochs - self.skipped_epochs

    def certain_epochs(self, done: int) -> int:
        """The number of epochs that are trained in any case, after `done` of them."""
        if self.skipped_epochs:
            return self.last_epoch
        needed = max(self._patience - self.waited_epochs, 1)  # before it runs out
        return min(done + needed + self._final_epochs, self._epochs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        loss = logs["val_main_cross_entropy"]  # the same on all workers
        self.waited_epochs = 0 if loss < self.best_loss else self.waited_epochs + 1
        self.best_loss = min(self.best_loss, loss)
        unneeded = self._epochs - (epoch + 1) - self._final_epochs
        ran_out = self.waited_epochs >= self._patience and not self.skipped_epochs
        if ran_out and unneeded > 0:
            self._skip(unneeded, epoch + 1)

    def _skip(self, epochs: int, done: int) -> None:
        self.skipped_epochs = epochs
        inner_optimizer(self.model).skip(epochs * self._steps)
        self.model.stop_training = True  # this fit; the next one has fewer epochs
        if not self._logs:
            return
        with suppress(BrokenPipeError):  # the reader has left; the run continues
            log.info(
                f"no better validation loss within --patience {self._patience}: the "
                "learning rate takes its final decay, and training ends after epoch "
                f"{done + self._final_epochs} of {self._epochs}"
            )
