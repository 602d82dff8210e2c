"""Builds and compiles the network of a run: losses, metrics and replicas."""

from collections.abc import Callable, Collection
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.architecture.arithmetic import height_and_width
from googlenet_keras.network.build import build_network
from googlenet_keras.network.layers import KERAS_PACKAGE
from googlenet_keras.run_folder import TOP_K
from googlenet_keras.training.optimizer import make_optimizer
from googlenet_keras.training.options import ResolvedConfig
from googlenet_keras.training.transfer import freeze, layer_multipliers

NONE_WEIGHT = 0.5  # of a none picture's loss, where an image of a class has 1


def build_and_compile(config: ResolvedConfig, classes: int, steps: int) -> keras.Model:
    """Builds and compiles the network of `config`, with all its variables.

    steps: of an epoch. Within the scope of a strategy the result is a ReplicatedModel.
    """
    arch = config.to_architecture()
    network = build_network(
        arch,
        classes=classes,
        image_size=height_and_width(config.image_size),
        initialization=config.initialization,
        joint=True,
    )
    freeze(network, arch, config.freeze_until)
    multipliers = layer_multipliers(network, arch, config)
    optimizer: keras.Optimizer = make_optimizer(config, steps, multipliers)
    if tf.distribute.has_strategy():
        network = ReplicatedModel(network.inputs[0], network.output, name=network.name)
        if keras.config.dtype_policy().name == "mixed_float16":
            optimizer = ReplicatedLossScale(optimizer)
    heads = network.output
    network.compile(
        optimizer=optimizer,
        loss={head: SmoothedCrossEntropy(config.label_smoothing) for head in heads},
        loss_weights={h: w for h, w in config.loss_weights().items() if h in heads},
        metrics=head_metrics(heads, classes),
        jit_compile=config.xla == "on",
    )
    _create_variables(network)
    return network


def _create_variables(network: keras.Model) -> None:
    """Creates the optimizer's and metrics' variables before the first step."""
    labels = dict.fromkeys(network.output, tf.zeros((1,), tf.int32))
    if tf.distribute.has_strategy():
        images = tf.zeros((1, *network.inputs[0].shape[1:]))
        network._symbolic_build(data_batch=(images, labels))
        return
    network.optimizer.build(network.trainable_variables)
    logits = {head: tf.zeros((1, out.shape[1])) for head, out in network.output.items()}
    network.compute_loss(y=labels, y_pred=logits)
    network.compute_metrics(None, labels, logits)
    network.reset_metrics()


@keras.saving.register_keras_serializable(package=KERAS_PACKAGE)
class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy with label smoothing, of class numbers or of mixed images.

    (1 - s) * -log p[label] + s * mean over classes of -log p (arXiv 1512.00567, section
    7). y_true: [batch] integers, or [batch, classes] the share of each class in a mixed
    image (MixUp, CutMix). A number beyond the last class, or a row of zeros, is a
    picture of none of the classes, whose loss is that of smoothing 1: the cross-entropy
    with the uniform distribution (arXiv 1812.04606), times NONE_WEIGHT. y_pred: [batch,
    classes] logits. Keras has no loss for all of them, and no smoothing for integer
    labels.
    """

    def __init__(self, smoothing: float = 0.0, name: str = "loss", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.smoothing = smoothing

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        losses = _cross_entropy(y_true, y_pred, self.smoothing)
        of_class = _is_of_class(y_true, y_pred)
        weights = tf.where(of_class, 1.0, NONE_WEIGHT)
        # Keras divides the sum by the size of the batch. Scaled like this, it is
        # divided by the number of images of classes instead, so that their gradient,
        # and what a learning rate means, is the same with and without none pictures.
        known = tf.reduce_sum(tf.cast(of_class, losses.dtype))
        batch = tf.cast(tf.size(losses), losses.dtype)
        return losses * weights * (batch / tf.maximum(known, 1.0))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"smoothing": self.smoothing}


def _cross_entropy(
    y_true: tf.Tensor, y_pred: tf.Tensor, smoothing: float = 0.0
) -> tf.Tensor:
    """Cross-entropy with label smoothing, which is 1 for none pictures, [batch]."""
    logs = tf.nn.log_softmax(y_pred)
    if _is_mixed(y_true, y_pred):
        right = tf.reduce_sum(tf.cast(y_true, logs.dtype) * logs, axis=-1)
    else:
        right = tf.gather(logs, _class_numbers(y_true, y_pred), batch_dims=1)
    spread = tf.reduce_mean(logs, axis=-1)
    smoothed = -(1.0 - smoothing) * right - smoothing * spread
    return tf.where(_is_of_class(y_true, y_pred), smoothed, -spread)


def _is_mixed(y_true: tf.Tensor, y_pred: tf.Tensor) -> bool:
    """Whether y_true holds each class's share rather than class numbers."""
    return len(y_true.shape) == 2 and y_true.shape[1] == y_pred.shape[1] > 1


def _is_of_class(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Whether each image is of a class, [batch], and not a picture of none."""
    if _is_mixed(y_true, y_pred):
        parts = tf.reduce_sum(y_true, axis=-1)  # 1 or 0, but for rounding
        return tf.logical_not(parts < 0.5)  # what is not finite stays so
    return tf.reshape(tf.cast(y_true, tf.int32), [-1]) < y_pred.shape[1]


def _class_numbers(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Class numbers, [batch]; of a mixed image, the class with the largest share.

    That of a none picture is 0, which has to be ignored.
    """
    if _is_mixed(y_true, y_pred):
        return tf.argmax(y_true, axis=-1, output_type=tf.int32)
    numbers = tf.reshape(tf.cast(y_true, tf.int32), [-1])
    return tf.where(_is_of_class(y_true, y_pred), numbers, 0)


def head_metrics(
    heads: Collection[str], classes: int
) -> dict[str, list[keras.metrics.Metric]]:
    """The metrics of each head: top1, cross_entropy, and top5 for over 5 classes.

    cross_entropy is the mean over images without smoothing; Keras's own loss of each
    output is a mean of batch means. A mixed image counts for its largest class, and a
    none picture not at all.
    """
    # Keras prefixes a metric with its output's name only if there are several outputs
    prefix = f"{next(iter(heads))}_" if len(heads) == 1 else ""
    per_image = {"top1": _top1, "cross_entropy": _cross_entropy}
    if classes > TOP_K:
        per_image["top5"] = _top5
    mean = _MeanOfClasses
    return {head: [mean(call, name=prefix + name) for name, call in per_image.items()]
            for head in heads}  # fmt: skip


class _MeanOfClasses(keras.metrics.MeanMetricWrapper):
    """The mean of a function of (y_true, y_pred) over the images of classes."""

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: Any = None
    ) -> Any:
        of_class = tf.cast(_is_of_class(y_true, y_pred), tf.float32)
        return super().update_state(y_true, y_pred, sample_weight=of_class)


def _top1(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    labels = _class_numbers(y_true, y_pred)
    return keras.metrics.sparse_categorical_accuracy(labels, y_pred)


def _top5(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    labels = _class_numbers(y_true, y_pred)
    return keras.metrics.sparse_top_k_categorical_accuracy(labels, y_pred, TOP_K)


class ReplicatedModel(keras.Model):
    """A functional model whose replicas stay equal, on one machine or several.

    Each replica normalizes its own part of the batch; the moving statistics and the
    metrics of a step are the mean of all replicas'. Keras's own steps fail with several
    workers (keras-team/keras#20585), leave each replica its own statistics, and
    communicate once for each metric.
    """

    train_function: Callable[..., Any] | None
    test_function: Callable[..., Any] | None

    def make_train_function(self, force: bool = False) -> None:
        if self.train_function is None or force:
            self.train_function = self._on_all_replicas(self._synchronized_train_step)

    def make_test_function(self, force: bool = False) -> None:
        # its figures are one replica's; evaluate reads the metrics' sums at the end
        if self.test_function is None or force:
            self.test_function = self._on_all_replicas(self.test_step)

    def _on_all_replicas(self, step: Callable[..., Any]) -> Callable[..., Any]:
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

    def _maybe_symbolic_build(self, *_: Any, **__: Any) -> None:
        """Does nothing: `build_and_compile` has created the variables."""


class ReplicatedLossScale(keras.optimizers.LossScaleOptimizer):
    """Loss scaling for float16 in which all replicas skip a step together.

    In Keras 3.15 each replica checks its own gradients only, so that one with finite
    gradients waits forever for the sum that another one skips.
    """

    def check_finite(self, grads: list[tf.Tensor]) -> tf.Tensor:
        infinite = tf.cast(tf.logical_not(super().check_finite(grads)), tf.float32)
        replicas = tf.distribute.get_replica_context()
        return replicas.all_reduce(tf.distribute.ReduceOp.SUM, infinite) == 0.0


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
