"""One network whose weights all networks of a search space share, and their scores.

It has the largest widths of the space. A narrower network has the first channels of
each of its convolutions. A channel whose weights are zero is zero behind its ReLU, so
that the narrower network is the widest one with zeros for weights, in the same graph.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.channels import convolutions
from googlenet_keras.console import track
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.evaluate import Evaluation, evaluate
from googlenet_keras.files import write_json
from googlenet_keras.network.layers import FusedBatchNormalization
from googlenet_keras.network.weights import weight_name
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.input_pipeline import training_batches
from googlenet_keras.training.optimizer import inner_optimizer
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.trainer import TrainedNetwork, train_network
from googlenet_keras.tuning.budget import Budget
from googlenet_keras.tuning.job import SearchFolder
from googlenet_keras.tuning.space import Space
from googlenet_keras.tuning.trainings import save_results
from googlenet_keras.tuning.trials import TrainingFigures

NETWORKS_IN_TRAINING = 256  # of the budget; a step draws from them
RANDOM_NETWORKS = 2  # in a step, beside the widest and that of even width
STATISTICS_BATCHES = 8  # as training's, for a narrower network's normalization
UNSUPPORTED_OPTIONS = ("none", "teacher", "self_distillation", "weights", "image_sizes")

Widths = Mapping[str, Any]
"""The number of channels of convolutions, by name: integers or integer tensors."""


def narrow(
    weights: Iterable[keras.Variable], widths: Widths
) -> list[tuple[keras.Variable, tf.Tensor]]:
    """The weights of convolutions and their normalization, with zeros beyond `widths`.

    Their last axis has the channels. Weights of other layers are left out.
    """
    narrowed = []
    for weight in weights:
        layer = weight_name(weight).partition("/")[0]
        width = widths.get(layer, widths.get(layer.removesuffix("_bn")))
        if width is not None:
            channels = tf.range(weight.shape[-1]) < width
            value = tf.convert_to_tensor(weight.value)
            narrowed.append((weight, value * tf.cast(channels, value.dtype)))
    return narrowed


@dataclass(frozen=True)
class Sandwich:
    """The sandwich rule of universally slimmable networks (arXiv 1903.05134).

    In each step the widest network learns the labels, and narrower ones its answers:
    the first of `networks` and RANDOM_NETWORKS others. networks: widths [networks,
    convolutions] in the order of `names`. head_weights: of the loss, by head.
    """

    names: tuple[str, ...]
    networks: np.ndarray
    head_weights: Mapping[str, float]
    seed: int

    def choose(self, step: tf.Tensor) -> list[Widths]:
        """The narrower networks of a step, which (seed, step) decide."""
        key = tf.stack([tf.constant(self.seed, tf.int64), tf.cast(step, tf.int64)])
        count = len(self.networks)
        drawn = tf.random.stateless_uniform([RANDOM_NETWORKS], key, 0, count, tf.int32)
        rows = tf.gather(
            tf.constant(self.networks, tf.int32), tf.concat([[0], drawn], axis=0)
        )
        return [
            dict(zip(self.names, tf.unstack(row), strict=True))
            for row in tf.unstack(rows)
        ]


class SharedWeightsModel(keras.Model):
    """A functional model that trains narrower networks with its weights, too."""

    sandwich: Sandwich

    @classmethod
    def adapt(cls, network: keras.Model, sandwich: Sandwich) -> "SharedWeightsModel":
        """The model with the layers of `network`."""
        model = cls(network.inputs[0], network.output, name=network.name)
        model.sandwich = sandwich
        return model

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """The widest network's loss, in training plus those of the narrower ones."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training or x is None:
            return loss
        answers = tf.stop_gradient(tf.nn.softmax(y_pred["main"]))
        for widths in self.sandwich.choose(inner_optimizer(self).iterations.value):
            loss += self._narrow_loss(widths, x, answers, sample_weight or {})
        return loss

    def _narrow_loss(
        self,
        widths: Widths,
        images: tf.Tensor,
        answers: tf.Tensor,
        weights: Mapping[str, tf.Tensor],
    ) -> tf.Tensor:
        """The loss of a narrower network that learns the `answers`."""
        # the moving statistics stay the widest network's
        with keras.StatelessScope(narrow(self.weights, widths)):
            logits = self(images, training=True)
        cross_entropy = keras.losses.CategoricalCrossentropy(from_logits=True)
        return sum(
            self.sandwich.head_weights[head]
            * cross_entropy(answers, logits[head], weights.get(head))
            for head in logits
        )


def train_shared_weights(
    config: TrainConfig,
    space: Space,
    budget: Budget,
    stopwatch: Stopwatch | None = None,
) -> "SharedWeights":
    """Trains the network of shared weights as `config` says, or resumes that.

    The random networks of its training fill the budget. config: with a run folder; its
    network is the space's widest one. stopwatch: as of `train_network`. Raises
    UserError.
    """
    _check(config)
    assert config.run_folder
    widest, names = space.widest(), convolutions(space.base)
    file = config.run_folder.with_name(f"{config.run_folder.name}.json")
    write_json(file, widest.to_json())
    drawn = budget.draw(space, NETWORKS_IN_TRAINING, config.seed)
    networks = [space.to_architecture(values).widths() for values in drawn]
    sandwich = Sandwich(
        tuple(names),
        np.array([[widths[name] for name in names] for widths in networks], np.int32),
        config.loss_weights(),
        config.seed,
    )
    config = replace(config, architecture=file, width=1.0, resume=True)
    adapt = partial(SharedWeightsModel.adapt, sandwich=sandwich)
    trained = train_network(config, stopwatch, adapt=adapt)
    assert trained  # None only in further workers of one run
    return SharedWeights(trained)


def _check(config: TrainConfig) -> None:
    """Raises UserError for options that shared weights do not have."""
    given = [name for name in UNSUPPORTED_OPTIONS if getattr(config, name)]
    given += ["strategy"] if config.strategy != "none" else []
    if given:
        raise UserError(
            "shared weights are trained on one device, from labels and the widest "
            f"network's answers; leave out {', '.join(given)}."
        )


def score_networks(
    config: TrainConfig,
    space: Space,
    budget: Budget,
    networks: Mapping[str, Architecture],
    folder: SearchFolder,
) -> dict[str, TrainingFigures]:
    """Trains or resumes shared weights and evaluates `networks`, by their names.

    folder: gets the results on each image. The training counts in the time of the
    first network. Raises UserError.
    """
    stopwatch, figures = Stopwatch(), dict[str, TrainingFigures]()
    shared = train_shared_weights(config, space, budget, stopwatch)
    for name, arch in track(networks.items(), "scoring networks", len(networks)):
        path = folder.image_results(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        evaluation = shared.evaluate(arch)
        figures[name] = save_results(evaluation, path, shared.epochs, stopwatch)
        stopwatch = Stopwatch()
    return figures


class SharedWeights:
    """Evaluates narrower networks that have the weights of a trained one.

    classifier: of the widest network; its weights are those of the latest network that
    was evaluated. crops: training batches for the statistics.
    """

    def __init__(self, trained: TrainedNetwork) -> None:
        self.classifier, self.dataset = trained.classifier, trained.job.dataset
        self.epochs = len(trained.job.folder.read_epochs())
        network = self.classifier.network
        self._weights = [(weight, np.array(weight)) for weight in network.weights]
        self._norms: Sequence[FusedBatchNormalization] = [
            x for x in network.layers if isinstance(x, FusedBatchNormalization)
        ]
        # augmented: networks trained alone have the statistics of such crops, too
        batches = training_batches(trained.job.config, self.dataset, ())
        self.crops = [images for images, *_ in batches.take(STATISTICS_BATCHES)]
        self._normalize = tf.function(partial(network, training=True))

    @property
    def widest(self) -> Architecture:
        """The network of shared weights."""
        return self.classifier.architecture

    def evaluate(self, arch: Architecture, split: str = "validation") -> Evaluation:
        """Evaluates the narrower network `arch` on a split.

        Its normalization has statistics of its own: the moving ones of a few training
        batches. Raises UserError for a network that is not a narrower one.
        """
        self._check(arch)
        for weight, value in self._weights:
            weight.assign(value)
        for weight, value in narrow(self.classifier.network.weights, arch.widths()):
            weight.assign(value)
        self._renew_statistics()
        return evaluate(self.classifier, self.dataset, split)

    def _check(self, arch: Architecture) -> None:
        widest, most = self.widest, self.widest.widths()
        widths = arch.widths()
        fits = widths.keys() == most.keys() and all(widths[x] <= most[x] for x in most)
        same = fits and replace(arch.with_widths(most), differences=widest.differences)
        if same != widest:
            raise UserError(
                "shared weights are those of networks that differ from the widest one "
                "in nothing but narrower convolutions; received another network."
            )

    def _renew_statistics(self) -> None:
        """Sets the moving statistics to those of the training batches."""
        for norm in self._norms:
            norm.moving_mean.assign(tf.zeros_like(norm.moving_mean))
            norm.moving_variance.assign(tf.zeros_like(norm.moving_variance))
        for crops in self.crops if self._norms else ():
            self._normalize(crops)
        for norm in self._norms:
            # what is left of the zeros would make them too small
            part = 1 - norm.momentum ** len(self.crops)
            norm.moving_mean.assign(norm.moving_mean / part)
            norm.moving_variance.assign(norm.moving_variance / part)
