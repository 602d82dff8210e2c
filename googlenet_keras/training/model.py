"""Builds and compiles the network of a run."""

import keras
import tensorflow as tf

from googlenet_keras.architecture.arithmetic import height_and_width
from googlenet_keras.network.build import build_network
from googlenet_keras.training import losses, replicated
from googlenet_keras.training.optimizer import make_optimizer
from googlenet_keras.training.options import ResolvedConfig
from googlenet_keras.training.transfer import freeze


def build_and_compile(config: ResolvedConfig, classes: int, steps: int) -> keras.Model:
    """Builds and compiles the network of `config`.

    steps: of one epoch. Within the scope of a strategy the result is a ReplicatedModel.
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
    optimizer = make_optimizer(config, steps)
    if tf.distribute.has_strategy():
        network = replicated.replicate_model(network)
        optimizer = replicated.replicate_optimizer(optimizer)
    loss = {head: losses.SmoothedCrossEntropy(config.label_smoothing)
            for head in network.output}  # fmt: skip
    network.compile(
        optimizer=optimizer,
        loss=loss,
        loss_weights={h: w for h, w in config.loss_weights().items() if h in loss},
        metrics=losses.head_metrics(network.output, classes),
        jit_compile=config.xla == "on",
    )
    _create_variables(network)
    return network


def _create_variables(network: keras.Model) -> None:
    """Creates the optimizer's and metrics' variables before the first step."""
    if tf.distribute.has_strategy():
        replicated.create_variables(network)
        return
    network.optimizer.build(network.trainable_variables)
    logits = {head: tf.zeros((1, out.shape[1])) for head, out in network.output.items()}
    labels = {head: tf.zeros((1,), tf.int32) for head in logits}
    network.compute_loss(y=labels, y_pred=logits)
    network.compute_metrics(None, labels, logits)
    network.reset_metrics()
