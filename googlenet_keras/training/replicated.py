"""A model and an optimizer that work around Keras's gaps under tf.distribute."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Step = Callable[..., dict[str, tf.Tensor]]


class ReplicatedModel(keras.Model):
    """A functional model whose replicas stay equal, on one machine or several.

    Each replica normalizes its own part of the batch; the moving statistics and the
    metrics of a step are the mean of all replicas'. Keras's own steps fail with several
    workers (keras-team/keras#20585), leave each replica its own statistics, and
    communicate once for each metric.
    """

    train_function: Step | None
    test_function: Step | None

    def make_train_function(self, force: bool = False) -> None:
        if self.train_function is None or force:
            self.train_function = self._on_all_replicas(self._synchronized_train_step)

    def make_test_function(self, force: bool = False) -> None:
        # its figures are one replica's; evaluate reads the metrics' sums at the end
        if self.test_function is None or force:
            self.test_function = self._on_all_replicas(self.test_step)

    def _on_all_replicas(self, step: Step) -> Step:
        strategy = self.distribute_strategy

        @tf.autograph.experimental.do_not_convert
        def run(iterator: Any) -> dict[str, tf.Tensor]:
            figures = strategy.run(step, args=(iterator.get_next(),))
            return {name: strategy.experimental_local_results(figure)[0]
                    for name, figure in figures.items()}  # fmt: skip

        return tf.function(run, reduce_retracing=True)

    def _synchronized_train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """A training step after which all replicas hold the same values.

        A replica's part of the batch enters moving statistics and metric sums linearly,
        so the replicas' mean is the value for the whole batch.
        """
        self.train_step(data)
        own = [v.value for v in (*self.non_trainable_weights, *self.metrics_variables)]
        means = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.MEAN, [tf.identity(v) for v in own]
        )
        for variable, mean in zip(own, means, strict=True):
            variable.assign(mean)
        return self.get_metrics_result()

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        """Does nothing: `create_variables` has built the model."""


class ReplicatedLossScale(keras.optimizers.LossScaleOptimizer):
    """Loss scaling for float16 in which all replicas skip a step together.

    In Keras 3.15 each replica checks its own gradients only, so that one with finite
    gradients waits forever for the sum that another one skips.
    """

    def check_finite(self, grads: list[tf.Tensor]) -> tf.Tensor:
        infinite = tf.cast(tf.logical_not(super().check_finite(grads)), tf.float32)
        replicas = tf.distribute.get_replica_context()
        return replicas.all_reduce(tf.distribute.ReduceOp.SUM, infinite) == 0.0


def replicate_model(network: keras.Model) -> ReplicatedModel:
    """Makes a ReplicatedModel of the layers of `network`, for the current strategy."""
    return ReplicatedModel(network.inputs[0], network.output, name=network.name)


def replicate_optimizer(optimizer: keras.Optimizer) -> keras.Optimizer:
    """Adds loss scaling to `optimizer` if the global policy is mixed_float16."""
    if keras.config.dtype_policy().name == "mixed_float16":
        return ReplicatedLossScale(optimizer)
    return optimizer


def create_variables(network: ReplicatedModel) -> None:
    """Creates the variables of a compiled network's optimizer, losses and metrics."""
    images = tf.zeros((1, *network.inputs[0].shape[1:]))
    labels = dict.fromkeys(network.output, tf.zeros((1,), tf.int32))
    with network.distribute_strategy.scope():
        network._symbolic_build(data_batch=(images, labels))


def separate_dropout_seeds(network: keras.Model, first: int) -> None:
    """Gives each replica its own dropout masks; replica 0 keeps those it has.

    first: the index among all replicas of this process's first one.
    """
    strategy = network.distribute_strategy
    for layer in network.layers:
        if state := getattr(layer, "seed_generator", None):
            copies = strategy.experimental_local_results(state.state.value)
            for number, copy in enumerate(copies, start=first):
                seed, count = tf.unstack(copy)
                copy.assign([seed + tf.cast(number, seed.dtype), count])


def local_value(variable: keras.Variable | tf.Variable) -> np.ndarray:
    """Reads a variable without communicating with other workers.

    After a training step all replicas hold the same. A metric's sum is divided among
    the replicas, so it is one replica's part times their number.
    """
    value = variable.value if isinstance(variable, keras.Variable) else variable
    if not isinstance(value, tf.distribute.DistributedValues):
        return np.asarray(value)
    first = np.array(value.values[0])
    if value.aggregation == tf.VariableAggregation.SUM:
        first *= value.distribute_strategy.num_replicas_in_sync
    return first
