"""Moving averages of the weights, which validate and are kept (Polyak averaging)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf


class AverageWeights(keras.callbacks.Callback):
    """Keeps a moving average of every weight and validates with it (Polyak averaging).

    The average moves by 1 / min(horizon, (10 + t) / 9) at step t, so the first weights
    are soon forgotten. Batch normalisation's statistics are averaged with the weights
    they belong to. The averages are in the network from the start of validation to the
    start of the next epoch, and after training.
    """

    def __init__(self, horizon_steps: float) -> None:
        super().__init__()
        self.horizon_steps = max(horizon_steps, 1.0)
        self.swapped_in = False
        self.variables: list[tf.Variable] = []
        self._step = 0

    def on_train_begin(self, logs=None) -> None:
        """Starts the averages at the first weights."""
        if self.variables:  # a fit that goes on where another one stopped
            return
        self._live = [v.value for v in self.model.weights]
        self.variables = [tf.Variable(v) for v in self._live]
        self._update = tf.function(self._move)
        self._swap = tf.function(self._exchange)

    def get_state(self) -> dict[str, Any]:
        """What `set_state` needs, beside `variables` and the network's weights."""
        return {"step": self._step, "swapped_in": self.swapped_in}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on as where `get_state` was called."""
        self._step, self.swapped_in = state["step"], state["swapped_in"]

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Moves the averages towards the weights."""
        self._step += 1
        rate = 1.0 / min(self.horizon_steps, (10 + self._step) / 9)
        self._update(tf.constant(rate, tf.float32))

    def on_test_begin(self, logs=None) -> None:
        """Validation sees the averages."""
        self._bring(averages=True)

    def on_epoch_begin(self, epoch, logs=None) -> None:
        """Training goes on with the weights themselves."""
        self._bring(averages=False)

    def on_train_end(self, logs=None) -> None:
        """The averages are the result."""
        self._bring(averages=True)

    def _bring(self, averages: bool) -> None:
        if self.swapped_in is not averages:
            self._swap()
            self.swapped_in = averages

    def _move(self, rate) -> None:
        for average, live in zip(self.variables, self._live, strict=True):
            average.assign_add(rate * (live - average))

    def _exchange(self) -> None:
        for average, live in zip(self.variables, self._live, strict=True):
            kept = tf.identity(live)
            live.assign(tf.identity(average))
            average.assign(kept)
