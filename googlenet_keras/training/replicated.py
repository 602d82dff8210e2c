"""A network that tf.distribute trains: what Keras 3.15 needs for that."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

Step = Callable[..., dict[str, tf.Tensor]]


class ReplicatedModel(keras.Model):
    """A functional model whose replicas agree, on one machine or several.

    Each replica normalises its own part of the batch; the moving statistics follow the
    mean over all replicas, and so does what is reported of a step. Keras's own steps
    fail with several workers (keras-team/keras#20585), let each replica keep statistics
    of its own, and ask the others once for each figure.
    """

    def make_train_function(self, force: bool = False) -> None:
        """Makes what `fit` calls for each step."""
        if self.train_function is None or force:
            self.train_function = self._on_all_replicas(self._agreed_train_step)

    def make_test_function(self, force: bool = False) -> None:
        """Makes what `evaluate` calls for each step; its figures are one replica's.

        Those of the whole are read from the metrics' sums at the end.
        """
        if self.test_function is None or force:
            self.test_function = self._on_all_replicas(self.test_step)

    def _on_all_replicas(self, step: Step) -> Step:
        strategy = self.distribute_strategy

        @tf.autograph.experimental.do_not_convert
        def run(iterator):
            figures = strategy.run(step, args=(iterator.get_next(),))
            return {name: strategy.experimental_local_results(figure)[0]
                    for name, figure in figures.items()}  # fmt: skip

        return tf.function(run, reduce_retracing=True)

    def _agreed_train_step(self, data) -> dict[str, tf.Tensor]:
        """A step, after which every replica has the same values everywhere.

        It has moved the statistics and the metrics' sums by its own part of the batch,
        which is linear: their mean is what the mean of the parts would have made.
        """
        self.train_step(data)
        own = [v.value for v in (*self.non_trainable_weights, *self.metrics_variables)]
        agreed = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.MEAN, [tf.identity(v) for v in own]
        )
        for variable, value in zip(own, agreed, strict=True):
            variable.assign(value)
        return self.get_metrics_result()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None) -> None:
        """Nothing: `make_variables` has made them; Keras's takes a batch, and fails."""


class ReplicatedLossScale(keras.optimizers.LossScaleOptimizer):
    """Loss scaling for float16 whose replicas skip a step together.

    Keras 3.15 lets each replica look at its own gradients: one whose gradients are
    finite would wait for the sum that another one leaves out.
    """

    def check_finite(self, grads):
        """Whether every replica's gradients are finite."""
        infinite = tf.cast(tf.logical_not(super().check_finite(grads)), tf.float32)
        replicas = tf.distribute.get_replica_context()
        return replicas.all_reduce(tf.distribute.ReduceOp.SUM, infinite) == 0.0


def replicate_model(network: keras.Model) -> ReplicatedModel:
    """The same layers and weights as a model for the strategy in whose scope it is."""
    return ReplicatedModel(network.inputs[0], network.output, name=network.name)


def replicate_optimizer(optimizer: keras.Optimizer) -> keras.Optimizer:
    """`optimizer`, with its loss scaled where the global precision is float16."""
    if keras.config.dtype_policy().name == "mixed_float16":
        return ReplicatedLossScale(optimizer)
    return optimizer


def create_variables(network: ReplicatedModel) -> None:
    """Makes the variables of a compiled network's optimiser, losses and metrics."""
    images = tf.zeros((1, *network.inputs[0].shape[1:]))
    labels = dict.fromkeys(network.output, tf.zeros((1,), tf.int32))
    with network.distribute_strategy.scope():
        network._symbolic_build(data_batch=(images, labels))


def separate_dropout_seeds(network: keras.Model, first: int) -> None:
    """Gives each replica dropout masks of its own; the first one's are unchanged.

    first: the number among all replicas of this process's first.
    """
    strategy = network.distribute_strategy
    for layer in network.layers:
        if state := getattr(layer, "seed_generator", None):
            copies = strategy.experimental_local_results(state.state.value)
            for number, copy in enumerate(copies, start=first):
                seed, count = tf.unstack(copy)
                copy.assign([seed + tf.cast(number, seed.dtype), count])


def local_value(variable: keras.Variable | tf.Variable) -> np.ndarray:
    """The variable's value, without asking other workers, who may not be asking.

    After a training step all have the same. A metric's sum is divided among the
    replicas, so it is one part times their number.
    """
    value = variable.value if isinstance(variable, keras.Variable) else variable
    if not isinstance(value, tf.distribute.DistributedValues):
        return np.asarray(value)
    first = np.array(value.values[0])
    if value.aggregation == tf.VariableAggregation.SUM:
        first *= value.distribute_strategy.num_replicas_in_sync
    return first
