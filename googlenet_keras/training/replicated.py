"""A network that tf.distribute trains: what Keras 3.15 needs for that."""

from __future__ import annotations

from collections.abc import Callable

import keras
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
        figures = self.train_step(data)
        # Each replica has moved the statistics by its own batch, which is linear, so
        # the mean of what they are now is what the mean of the batches' would make.
        statistics = self.non_trainable_weights
        own = [tf.stack(list(figures.values())), *map(tf.identity, statistics)]
        mean, *agreed = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.MEAN, own
        )
        for statistic, value in zip(statistics, agreed, strict=True):
            statistic.assign(value)
        return dict(zip(figures, tf.unstack(mean), strict=True))

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


def replicated(network: keras.Model) -> ReplicatedModel:
    """The same layers and weights as a model for the strategy in whose scope it is."""
    return ReplicatedModel(network.inputs[0], network.output, name=network.name)


def replicated_optimizer(optimizer: keras.Optimizer) -> keras.Optimizer:
    """`optimizer`, with its loss scaled where the global precision is float16."""
    if keras.config.dtype_policy().name == "mixed_float16":
        return ReplicatedLossScale(optimizer)
    return optimizer


def make_variables(network: ReplicatedModel) -> None:
    """Makes the variables of a compiled network's optimiser, losses and metrics."""
    images = tf.zeros((1, *network.inputs[0].shape[1:]))
    labels = dict.fromkeys(network.output, tf.zeros((1,), tf.int32))
    with network.distribute_strategy.scope():
        network._symbolic_build(data_batch=(images, labels))


def separate_dropout(network: keras.Model, first: int) -> None:
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
