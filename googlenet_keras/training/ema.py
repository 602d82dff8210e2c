"""Polyak averaging: validates and saves a moving average of the weights."""

from typing import Any

import tensorflow as tf

from googlenet_keras.training.callbacks import StatefulCallback


class AverageWeights(StatefulCallback):
    """Keeps a moving average of every weight and validates with it (Polyak averaging).

    At step t the average moves by 1 / min(horizon, (10 + t) / 9), so the first weights
    are soon forgotten. The averages are in the network from the start of validation to
    the start of the next epoch, and after training.

    Keras's use_ema leaves out batch normalization's statistics, and its momentum is a
    constant, which keeps the first weights in the average of a short run.
    """

    STATE = ("step", "swapped_in")

    def __init__(self, horizon_steps: float) -> None:
        super().__init__()
        self.horizon_steps = max(horizon_steps, 1.0)
        self.swapped_in = False
        self.variables: list[tf.Variable] = []
        self.step = 0

    def on_train_begin(self, logs: Any = None) -> None:
        if self.variables:  # a further fit of the same run
            return
        self._live = [v.value for v in self.model.weights]
        self.variables = [tf.Variable(v) for v in self._live]
        self._update = tf.function(self._update_averages)
        self._swap = tf.function(self._swap_variables)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step += 1
        rate = 1.0 / min(self.horizon_steps, (10 + self.step) / 9)
        self._update(tf.constant(rate, tf.float32))

    def on_test_begin(self, logs: Any = None) -> None:
        self._put_in_network(averages=True)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._put_in_network(averages=False)

    def on_train_end(self, logs: Any = None) -> None:
        self._put_in_network(averages=True)

    def _put_in_network(self, averages: bool) -> None:
        if self.swapped_in is not averages:
            self._swap()
            self.swapped_in = averages

    def _update_averages(self, rate: tf.Tensor) -> None:
        for average, live in zip(self.variables, self._live, strict=True):
            average.assign_add(rate * (live - average))

    def _swap_variables(self) -> None:
        for average, live in zip(self.variables, self._live, strict=True):
            value = tf.identity(live)
            live.assign(tf.identity(average))
            average.assign(value)
