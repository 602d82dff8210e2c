"""Measures how fast a run trains, for the number of epochs that fit into --minutes."""

import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras

from googlenet_keras.data.dataset import Dataset
from googlenet_keras.training.callbacks import Logs
from googlenet_keras.training.options import MAX_EPOCHS
from googlenet_keras.training.stages import Stage

WARMUP_STEPS = 2  # of each fit; the first one compiles, the second fills buffers
MAX_MEASURED_STEPS = 100
EVALUATION_STARTUPS = 1.5  # measured with the recipe smoke on a CPU: 1.4
MEASURED_FRACTION = 0.02  # of the time that is given, for the measured steps


@dataclass(frozen=True)
class Pace:
    """Wall seconds of the parts of a run at one image size.

    startup: to load the data, build and compile the network and do three steps. step: a
    training step. epoch_end: what an epoch takes besides its steps: validation and
    saving the network.
    """

    startup: float
    step: float
    epoch_end: float

    def epoch(self, steps: int) -> float:
        """The seconds of an epoch of `steps` steps."""
        return steps * self.step + self.epoch_end

    def evaluation(self, dataset: Dataset) -> float:
        """The seconds of the final evaluation and its report.

        They are taken to need as much as 1.5 startups, and for their images what
        validation needs.
        """
        test = dataset.test.count if dataset.test else 0
        images = (1 + test / dataset.validation.count) * self.epoch_end
        return EVALUATION_STARTUPS * self.startup + images


def epochs_within(
    seconds: float,
    steps: int,
    dataset: Dataset,
    paces: Mapping[tuple[int, int], Pace],
    make_stages: Callable[[int], Sequence[Stage]],
) -> int:
    """The number of epochs of a run that starts and is evaluated within `seconds`.

    steps: of an epoch. paces: by image size. make_stages: gives the stages of a run of
    so many epochs. No run has more than MAX_EPOCHS; 0 if not even one fits.
    """

    def needed(epochs: int) -> float:
        stages = make_stages(epochs)
        trained = (
            paces[stage.size].startup
            + (stage.end - stage.start) * paces[stage.size].epoch(steps)
            for stage in stages
        )
        return sum(trained) + paces[stages[-1].size].evaluation(dataset)

    return bisect_right(range(1, MAX_EPOCHS + 1), seconds, key=needed)


class Clock(keras.callbacks.Callback):
    """Measures steps for about `seconds`, then the rest of the epoch.

    It must be the last callback of a fit of one epoch, whose training it ends.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self.step = self.epoch_end = 0.0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._trained = now = time.perf_counter()
        if batch + 1 == WARMUP_STEPS:
            self._began = now
        elif batch + 1 > WARMUP_STEPS:
            spent = now - self._began
            self.step = spent / (batch + 1 - WARMUP_STEPS)
            self.model.stop_training = spent >= self._seconds

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch_end = time.perf_counter() - self._trained
