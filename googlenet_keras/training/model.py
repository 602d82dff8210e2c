"""Builds and compiles the network of a run: losses, metrics and replicas."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.network.build import build_network
from googlenet_keras.network.layers import KERAS_PACKAGE
from googlenet_keras.run_folder import TOP_K
from googlenet_keras.training.optimizer import gamma_penalties, make_optimizer
from googlenet_keras.training.options import ResolvedConfig
from googlenet_keras.training.transfer import freeze, layer_multipliers

AdaptModel: TypeAlias = Callable[[keras.Model], keras.Model]
"""Makes a model of the same layers that is trained in another way."""


def build_and_compile(
    config: ResolvedConfig,
    classes: int,
    steps: int,
    image_size: tuple[int, int] | None = None,
    adapt: AdaptModel | None = None,
) -> keras.Model:
    """Builds and compiles the network of `config`, with all its variables.

    With none pictures, each head has an output more than classes, the last. steps: of
    an epoch. image_size: height and width; None: those of `config`. adapt: makes the
    model to train from the functional one. Otherwise the result is a ReplicatedModel
    within the scope of a strategy, with self_distillation a SelfDistillationModel.
    """
    arch = config.to_architecture()
    network = build_network(
        arch,
        classes=classes + bool(config.none),
        image_size=image_size or config.input_size,
        initialization=config.initialization,
        joint=True,
    )
    freeze(network, arch, config.freeze_until)
    multipliers = layer_multipliers(network, arch, config)
    penalties = gamma_penalties(config, classes)
    optimizer: keras.Optimizer = make_optimizer(config, steps, multipliers, penalties)
    is_replicated = tf.distribute.has_strategy()
    if is_replicated or config.self_distillation:
        kind = ReplicatedModel if is_replicated else SelfDistillationModel
        network = kind(network.inputs[0], network.output, name=network.name)
        network.self_distillation = config.self_distillation > 0
    network = adapt(network) if adapt else network
    if is_replicated and keras.config.dtype_policy().name == "mixed_float16":
        optimizer = ReplicatedLossScale(optimizer)
    heads, smoothing = network.output, config.label_smoothing
    network.compile(
        optimizer=optimizer,
        loss={
            head: SmoothedCrossEntropy(smoothing, config.soft_target_weights(head))
            for head in heads
        },
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
    """Cross-entropy with smoothed labels, of images or mixed images, and soft targets.

    (1 - s) * -log p[label] + s * mean over outputs of -log p (arXiv 1512.00567, section
    7). y_true: [batch] integers, or [batch, classes] the share of each class in a mixed
    image (MixUp, CutMix). y_pred: [batch, outputs] logits, of the classes and, in
    training with none pictures, of none of them: what is missing from a share of 1
    belongs to that. Keras has no loss for all of them, and no smoothing for integer
    labels.

    In distillation y_true is [batch, 1 + n, classes]: the shares, then n soft targets,
    which are probabilities. For each target in turn, with its weight w:
    loss = (1 - w) * loss + w * cross-entropy with the target (arXiv 1503.02531, at
    temperature 1).
    """

    def __init__(
        self,
        smoothing: float = 0.0,
        soft_target_weights: Sequence[float] = (),
        name: str = "loss",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.smoothing = smoothing
        self.soft_target_weights = tuple(soft_target_weights)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return _cross_entropy(y_true, y_pred, self.smoothing, self.soft_target_weights)

    def get_config(self) -> dict[str, Any]:
        own = {"soft_target_weights": self.soft_target_weights}
        return super().get_config() | own | {"smoothing": self.smoothing}


def _cross_entropy(
    y_true: tf.Tensor,
    y_pred: tf.Tensor,
    smoothing: float = 0.0,
    soft_target_weights: Sequence[float] = (),
) -> tf.Tensor:
    """Cross-entropy, [batch]. Soft targets without a weight do not count."""
    logs = tf.nn.log_softmax(y_pred)
    right, *targets = (
        tf.reduce_sum(tf.cast(_shares(x, y_pred.shape[1]), logs.dtype) * logs, axis=-1)
        for x in _labels_and_targets(y_true)
    )
    losses = -(1.0 - smoothing) * right - smoothing * tf.reduce_mean(logs, axis=-1)
    for weight, target in zip(soft_target_weights, targets, strict=False):
        losses = (1.0 - weight) * losses - weight * target
    return losses


def _labels_and_targets(y_true: tf.Tensor) -> list[tf.Tensor]:
    """The labels, [batch] or [batch, classes], then the soft targets, if any."""
    return tf.unstack(y_true, axis=1) if len(y_true.shape) == 3 else [y_true]


def _shares(labels: tf.Tensor, outputs: int) -> tf.Tensor:
    """The share of each output, [batch, outputs], by class numbers or classes' shares.

    What is missing from a share of 1 belongs to the output that no class has, if any;
    without it, the shares of a none picture are 0.
    """
    if len(labels.shape) < 2 or labels.shape[1] == 1:  # class numbers
        return tf.one_hot(tf.reshape(tf.cast(labels, tf.int32), [-1]), outputs)
    if labels.shape[1] == outputs:
        return labels
    return tf.concat([labels, 1 - tf.reduce_sum(labels, axis=-1, keepdims=True)], 1)


def head_metrics(
    heads: Collection[str], classes: int
) -> dict[str, list[keras.metrics.Metric]]:
    """The metrics of each head: top1, cross_entropy, and top5 for over 5 classes.

    They are means over the images of the classes; a none picture does not count, nor is
    none of the classes an answer. cross_entropy has no smoothing and no soft targets;
    Keras's own loss of each output is a mean of batch means. A mixed image counts for
    its largest class.
    """
    per_image = {
        "top1": _among_classes(keras.metrics.sparse_categorical_accuracy, classes),
        "cross_entropy": _cross_entropy,
    }
    if classes > TOP_K:
        top_k = keras.metrics.sparse_top_k_categorical_accuracy
        per_image["top5"] = _among_classes(top_k, classes, TOP_K)
    # Keras prefixes a metric with its output's name only if there are several outputs
    prefix = f"{next(iter(heads))}_" if len(heads) == 1 else ""
    return {head: [_MeanOfClasses(call, prefix + name, classes)
                   for name, call in per_image.items()]
            for head in heads}  # fmt: skip


class _MeanOfClasses(keras.metrics.MeanMetricWrapper):
    """The mean of a function of (y_true, y_pred) over the images of classes."""

    def __init__(self, function: Callable, name: str, classes: int):
        super().__init__(function, name)
        self.classes = classes

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: Any = None
    ) -> Any:
        labels, *_ = _labels_and_targets(y_true)
        parts = tf.reduce_sum(_shares(labels, self.classes), axis=-1)  # 1 or 0, about
        of_class = tf.logical_not(parts < 0.5)  # what is not finite counts
        weights = tf.cast(of_class, tf.float32)
        return super().update_state(y_true, y_pred, sample_weight=weights)


def _among_classes(function: Callable, classes: int, *args: Any) -> Callable:
    """`function` of class numbers and of the classes' logits alone."""

    def call(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        labels, *_ = _labels_and_targets(y_true)
        shares = _shares(labels, classes)
        numbers = tf.argmax(shares, axis=-1, output_type=tf.int32)
        return function(numbers, y_pred[:, :classes], *args)

    return call


class SelfDistillationModel(keras.Model):
    """A functional model whose auxiliary heads learn the main head's answers, too.

    In training each auxiliary head has them as its last soft target, whose gradient
    stops there (arXiv 1905.08094). self_distillation: whether it is on.
    """

    self_distillation = False

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        if training and self.self_distillation:
            answers = tf.stop_gradient(tf.nn.softmax(y_pred["main"]))
            y = {head: y[head] if head == "main" else add_soft_target(y[head], answers)
                 for head in y}  # fmt: skip
        return super().compute_loss(x, y, y_pred, sample_weight, training)


def add_soft_target(y_true: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Adds a soft target, [batch, outputs], to the labels of SmoothedCrossEntropy."""
    outputs = target.shape[1]
    rows = [tf.cast(_shares(x, outputs), target.dtype)
            for x in _labels_and_targets(y_true)]  # fmt: skip
    return tf.stack([*rows, target], axis=1)


class ReplicatedModel(SelfDistillationModel):
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
